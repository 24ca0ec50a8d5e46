import { randomUUID } from 'node:crypto'
import { recordEvents, webhookEvents } from '@berth/bus'
import { isNeverAsked, isPrivateAddress } from '@berth/registry-client'
import {
  type Actor,
  actorOf,
  assignments,
  badField,
  columnValues,
  insertQuery,
  noteAudit,
  notFound,
  ownerOf,
  type Principal,
  Problem,
  requireVerb,
  type Sealer,
  type Sql,
  sqlState,
  type Transaction,
} from '@berth/service'
import { createFilter } from '../event-log/filter.ts'
import { checkSecret } from './secret.ts'
import { type Webhook, type WebhookFields, webhookFields } from './webhook.ts'

/** What a request says of a webhook. A header that is null or absent of `headers` is not sent. */
export type GivenWebhook = Partial<WebhookFields> & { secret?: string; headers?: Record<string, string> }

/** Who changes it, and under what origin that reached Berth. */
type Changing = { caller: Principal; origin: string }

const sinceNow = 'since = (select last from event_log_head)'
const mostWebhooks = 1_000
const mostInNamespace = 200

/** What the secrets of a webhook are sealed as. */
export const secretContext = (id: string) => `webhook ${id} secret`
export const headersContext = (id: string) => `webhook ${id} headers`

// What Berth says of itself, and what the connection says.
const ownHeaders =
  /^(content-.*|host|connection|transfer-encoding|te|upgrade|trailer|expect|webhook-.*|ce-.*|user-agent)$/i

/** Throws 400 that names the field; 403 for what only administrators allow. */
function check(caller: Principal, given: GivenWebhook, now: WebhookFields, before?: Webhook): void {
  createFilter(now)
  const url = checkUrl(now)
  if (given.secret !== undefined) checkSecret(given.secret)
  for (const name of Object.keys(given.headers ?? {}))
    if (ownHeaders.test(name))
      throw badField(`headers.${name}`, 'is a header that Berth sets itself', 'Choose another name.')
  const isOther = before === undefined || new URL(before.url).origin !== url.origin
  // On a private host another path may be another program, whose answer the log of deliveries shows.
  if (now.allowPrivateAddresses && (before?.url !== now.url || !before.allowPrivateAddresses))
    requireVerb(caller, 'administer', { kind: 'settings', name: '' }, 'send events to private addresses')
  if (before && isOther && before.headerNames.length > 0 && given.headers === undefined)
    throw badField('headers', 'are sent to another host from now on', 'Send them again, or {} for none.')
  if (now.caCert !== null && url.protocol !== 'https:')
    throw badField('caCert', 'is for a url that begins with https://', 'Change the url, or leave it away.')
}

function checkUrl({ url: text, allowPrivateAddresses }: WebhookFields): URL {
  if (!URL.canParse(text)) throw badField('url', 'is no URL', 'As in https://ci.example.org/hooks/berth.')
  const url = new URL(text)
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw badField('url', `"${url.protocol}" is not a scheme that events are sent by`, 'Use https:// or http://.')
  if (url.username !== '' || url.password !== '')
    throw badField(
      'url',
      'holds a login, which would be shown and logged',
      'Send it as a header: headers.authorization.',
    )
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (isNeverAsked(host)) throw badField('url', 'is a link-local or metadata address, which is never asked')
  if (!allowPrivateAddresses && (isPrivateAddress(host) || /(^|\.)localhost\.?$/i.test(host)))
    throw badField('url', 'is a private address', 'An administrator can allow it: allowPrivateAddresses.')
  return url
}

/** Makes a webhook and answers its id. Throws 400, 403, 409. */
export async function insertWebhook(
  sql: Transaction,
  sealer: Sealer,
  {
    caller,
    origin,
    name,
    secret,
    given,
  }: { name: string; secret: string; given: GivenWebhook & { url: string } } & Changing,
): Promise<string> {
  const { headers = {}, secret: _, ...rest } = given
  const defaults = {
    events: [],
    repositories: [],
    active: true,
    allowPrivateAddresses: false,
    format: 'cloudevents',
    mode: 'structured',
    caCert: null,
  } as const
  const fields: WebhookFields = { ...defaults, events: [], repositories: [], ...rest }
  check(caller, { ...given, secret }, fields)
  await requireRoom(sql, name)
  const id = randomUUID()
  const actor = actorOf(caller)
  const [place] = await sql.query<{ last: number }>('select last from event_log_head')
  const query = insertQuery('webhook', {
    id,
    name,
    ...columnValues(webhookFields, fields),
    sealed_secret: sealer.seal(secret, secretContext(id)),
    ...headerColumns(id, headers, sealer),
    account_id: caller.id,
    account: caller.name,
    owner_id: ownerOf(caller),
    origin,
    since: place?.last ?? 0,
    created_by: actor.name,
    created_by_id: actor.id,
  })
  try {
    await sql.query(query.text, query.values)
  } catch (error) {
    if (sqlState(error) !== '23505') throw error
    throw new Problem(409, 'name_taken', `There is a webhook "${name}" already.`, {
      field: 'name',
      hint: 'Choose another name, or change that one.',
      cause: error,
    })
  }
  noteAudit({ object: { kind: 'webhook', id, name } })
  await recordEvents(sql, [{ kind: webhookEvents.created, data: { webhookId: id, webhook: name }, actor }])
  return id
}

function headerColumns(id: string, headers: Record<string, string>, sealer: Sealer) {
  const names = Object.keys(headers)
  return {
    header_names: names.sort(),
    sealed_headers: names.length === 0 ? null : sealer.seal(JSON.stringify(headers), headersContext(id)),
  }
}

/** Each one is asked about each event. */
async function requireRoom(sql: Transaction, name: string): Promise<void> {
  await sql.query(`select pg_advisory_xact_lock(hashtext('webhooks'))`)
  const [namespace = ''] = name.split('/')
  const [count] = await sql.query<{ all: number; here: number }>(
    `select count(*)::integer as all, (count(*) filter (where split_part(name, '/', 1) = $1))::integer as here from webhook`,
    [namespace],
  )
  if ((count?.all ?? 0) < mostWebhooks && (count?.here ?? 0) < mostInNamespace) return
  throw new Problem(
    409,
    'too_many_webhooks',
    `There are ${count?.here} webhooks of "${namespace}" and ${count?.all} in all.`,
    {
      hint: `There may be ${mostInNamespace} of a namespace and ${mostWebhooks} in all: delete one that nobody needs.`,
    },
  )
}

/**
 * Changes a webhook. Unless it `keepsAccount`, the rights of the caller decide from then on what is sent: whoever says what goes where
 * answers for it with its own.
 * One that is let go on hears of what happens from now on. Throws 400, 403, 404.
 */
export async function updateWebhook(
  sql: Transaction,
  sealer: Sealer,
  {
    caller,
    origin,
    before,
    given,
    keepsAccount,
  }: { before: Webhook; given: GivenWebhook; keepsAccount: boolean } & Changing,
): Promise<void> {
  const { headers, secret, ...rest } = given
  check(caller, given, { ...before, ...rest }, before)
  const values = {
    ...columnValues(webhookFields, rest),
    ...(headers === undefined ? {} : headerColumns(before.id, headers, sealer)),
    ...(secret === undefined ? {} : { sealed_secret: sealer.seal(secret, secretContext(before.id)) }),
    ...(keepsAccount ? {} : { account_id: caller.id, account: caller.name }),
    origin,
  }
  const goesOn = rest.active === true && !before.active
  const sets = [
    assignments(values, 2),
    'updated_at = now()',
    ...(secret === undefined ? [] : [`sealed_previous = sealed_secret, previous_until = now() + interval '24 hours'`]),
    ...(goesOn ? [sinceNow, 'disabled_because = null', 'failures = 0', 'failing_since = null'] : []),
  ]
  const changed = await sql.query(
    `update webhook
     set ${sets.join(', ')}
     where id = $1
     returning id`,
    [before.id, ...Object.values(values)],
  )
  if (changed.length === 0) throw notFound('webhook', before.name)
  const data = { webhookId: before.id, webhook: before.name }
  await recordEvents(sql, [{ kind: webhookEvents.updated, data, actor: actorOf(caller) }])
}

/** Deletes a webhook with what it has sent and has still to send. Throws 404. */
export async function deleteWebhook(
  sql: Transaction,
  { id, name }: Pick<Webhook, 'id' | 'name'>,
  actor: Actor,
): Promise<void> {
  const gone = await sql.query('delete from webhook where id = $1 returning id', [id])
  if (gone.length === 0) throw notFound('webhook', name)
  await recordEvents(sql, [{ kind: webhookEvents.deleted, data: { webhookId: id, webhook: name }, actor }])
}

/** Has a webhook send no more, and announces why. */
export async function disableWebhook(sql: Transaction, id: string, reason: string): Promise<void> {
  const [row] = await sql.query<{ name: string }>(
    `update webhook
     set active = false, disabled_because = $2, updated_at = now()
     where id = $1
       and active
     returning name`,
    [id, reason],
  )
  if (!row) return
  const data = { webhookId: id, webhook: row.name, reason }
  await recordEvents(sql, [{ kind: webhookEvents.disabled, data }])
}

/** The secrets that a webhook signs with now: its own, and for a day the one before. */
export async function openSecrets(
  sql: Sql,
  sealer: Sealer,
  id: string,
): Promise<{ secrets: string[]; headers: Record<string, string> } | undefined> {
  const [row] = await sql.query<{ own: Buffer; previous: Buffer | null; headers: Buffer | null }>(
    `select sealed_secret as own, case when previous_until > now() then sealed_previous end as previous, sealed_headers as headers
     from webhook
     where id = $1`,
    [id],
  )
  if (!row) return undefined
  const sealed = row.previous === null ? [row.own] : [row.own, row.previous]
  return {
    secrets: sealed.map((one) => sealer.open(one, secretContext(id))),
    headers:
      row.headers === null ? {} : (JSON.parse(sealer.open(row.headers, headersContext(id))) as Record<string, string>),
  }
}
