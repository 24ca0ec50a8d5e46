import { toSql } from '@berth/access'
import {
  type ApiRequest,
  actorOf,
  type Database,
  type Handlers,
  originOf,
  type Principal,
  readPage,
  type Sealer,
  toPage,
} from '@berth/service'
import type { operations } from '../openapi-types.ts'
import type { Accounts } from './accounts.ts'
import { deleteWebhook, type GivenWebhook, insertWebhook, updateWebhook } from './change-webhooks.ts'
import { findDelivery, listDeliveries, replayDelivery, showDelivery, testWebhook } from './deliveries.ts'
import { makeSecret } from './secret.ts'
import { findWebhook, showWebhook, type Webhook, webhookColumns } from './webhook.ts'

type Deps = { db: Database; sealer: Sealer; accounts: Accounts; externalUrl: string | undefined }

/** The API of webhooks. */
export function webhookHandlers({ db, sealer, accounts, externalUrl }: Deps) {
  /**
   * Whether a change leaves whose rights are used: an administrator's, who would else lend its own to what somebody sends to their URL, and
   * one that only lets a webhook go on, or stops it. Not where that account is gone, for then nothing would be sent.
   */
  const keepsAccount = async ({ admin }: Principal, { accountId }: Webhook, given: GivenWebhook) => {
    const isSmall = Object.keys(given).every((field) => field === 'active')
    return (admin || isSmall) && (await accounts(accountId)) !== null
  }
  const changing = ({ principal, response }: Pick<ApiRequest, 'principal' | 'response'>) => ({
    caller: principal,
    origin: originOf(response.req, externalUrl),
  })
  return {
    listWebhooks: async ({ query, principal }) => {
      const page = readPage(query)
      const columns = { name: 'name', id: 'id', owner: 'owner_id' }
      const seen = toSql(principal.rights, 'webhook.read', 'webhook', columns, 3)
      const rows = await db.query<Webhook>(
        `select ${webhookColumns}
         from webhook
         where name > $1
           and ${seen.condition}
         order by name
         limit $2`,
        [page.after ?? '', page.limit + 1, ...seen.values],
      )
      return {
        status: 200,
        body: toPage(
          rows,
          page,
          ({ name }) => name,
          (row) => showWebhook(principal, row),
        ),
      }
    },
    createWebhook: async (request) => {
      const { body, principal } = request
      const { name, ...given } = body
      const secret = given.secret ?? makeSecret()
      const made = { ...changing(request), name, secret, given: given as GivenWebhook & { url: string } }
      const id = await db.transaction((sql) => insertWebhook(sql, sealer, made))
      const shown = showWebhook(principal, await findWebhook(db, id))
      const headers = { location: `/api/v1/webhooks/${id}`, 'cache-control': 'no-store' }
      // One that Berth made is told once; nobody has to be told their own.
      return { status: 201, headers, body: given.secret === undefined ? { ...shown, secret } : shown }
    },
    showWebhook: async ({ params, principal }) => ({
      status: 200,
      body: showWebhook(principal, await findWebhook(db, params.webhook)),
    }),
    updateWebhook: async (request) => {
      const { params, body, principal } = request
      const before = await findWebhook(db, params.webhook)
      const given = body as GivenWebhook
      const keeps = await keepsAccount(principal, before, given)
      const change = { ...changing(request), before, given, keepsAccount: keeps }
      await db.transaction((sql) => updateWebhook(sql, sealer, change))
      return { status: 200, body: showWebhook(principal, await findWebhook(db, before.id)) }
    },
    deleteWebhook: async ({ params, principal }) => {
      const webhook = await findWebhook(db, params.webhook)
      await db.transaction((sql) => deleteWebhook(sql, webhook, actorOf(principal)))
      return { status: 204 }
    },
    testWebhook: async ({ params }) => {
      const webhook = await findWebhook(db, params.webhook)
      const made = await testWebhook(db, webhook)
      return { status: 202, headers: { location: locationOf(webhook, made) }, body: made }
    },
    listDeliveries: async ({ params, query }) => {
      const page = readPage(query)
      const rows = await listDeliveries(db, await findWebhook(db, params.webhook), page, query.state)
      return { status: 200, body: toPage(rows, page, ({ seq }) => String(seq), showDelivery) }
    },
    showDelivery: async ({ params, principal }) => ({
      status: 200,
      body: await findDelivery(db, principal, await findWebhook(db, params.webhook), params.delivery),
    }),
    replayDelivery: async ({ params }) => {
      const webhook = await findWebhook(db, params.webhook)
      const made = await replayDelivery(db, webhook, params.delivery)
      return { status: 202, headers: { location: locationOf(webhook, made) }, body: made }
    },
  } satisfies Partial<Handlers<operations>>
}

function locationOf(webhook: { id: string }, delivery: { id: string }): string {
  return `/api/v1/webhooks/${webhook.id}/deliveries/${delivery.id}`
}
