import { type AccessObject, decide } from '@berth/access'
import { type Columns, isUuid, notFound, type Principal, type Sql, selectedColumns } from '@berth/service'

/** What is set about a webhook, but for what is secret. */
export type WebhookFields = {
  url: string
  events: string[]
  repositories: string[]
  active: boolean
  allowPrivateAddresses: boolean
  format: 'cloudevents' | 'slack' | 'teams'
  mode: 'structured' | 'binary'
  caCert: string | null
}
export type Webhook = WebhookFields & {
  id: string
  name: string
  disabledBecause: string | null
  headerNames: string[]
  previousUntil: Date | null
  /** Whose rights decide what is sent. */
  accountId: string
  account: string
  ownerId: string | null
  origin: string
  since: number
  failures: number
  failingSince: Date | null
  createdBy: string
  createdById: string | null
  createdAt: Date
  updatedAt: Date
}

export const webhookFields: Columns<WebhookFields> = {
  url: { column: 'url' },
  events: { column: 'events' },
  repositories: { column: 'repositories' },
  active: { column: 'active' },
  allowPrivateAddresses: { column: 'allow_private_addresses' },
  format: { column: 'format' },
  mode: { column: 'mode' },
  caCert: { column: 'ca_cert' },
}

export const webhookColumns = `id, name, ${selectedColumns(webhookFields)}, disabled_because as "disabledBecause", header_names as "headerNames",
  previous_until as "previousUntil", account_id as "accountId", account, owner_id as "ownerId", origin, since, failures,
  failing_since as "failingSince", created_by as "createdBy", created_by_id as "createdById", created_at as "createdAt",
  updated_at as "updatedAt"`

const by = (idOrName: string) => (isUuid(idOrName) ? 'id = $1::uuid' : 'name = $1')

/** A webhook by id or name. Throws 404. */
export async function findWebhook(sql: Sql, idOrName: string): Promise<Webhook> {
  const [row] = await sql.query<Webhook>(`select ${webhookColumns} from webhook where ${by(idOrName)}`, [idOrName])
  if (!row) throw notFound('webhook', idOrName)
  return row
}

/** What is decided by of a webhook, by id or name. */
export async function webhookObject(sql: Sql, idOrName: string): Promise<AccessObject | undefined> {
  const [row] = await sql.query<{ id: string; name: string; ownerId: string | null }>(
    `select id, name, owner_id as "ownerId" from webhook where ${by(idOrName)}`,
    [idOrName],
  )
  return row && { kind: 'webhook', ...row }
}

/**
 * What a webhook can hear of: `team/` for `team/hook`, so that whoever may see the webhook by a grant may see that too; all for one
 * without a slash.
 */
export function scopeOf({ name }: Pick<Webhook, 'name'>): string {
  return name.slice(0, name.lastIndexOf('/') + 1)
}

/** A webhook as a caller may see it: where chat services are told, the address is what opens them. */
export function showWebhook({ rights }: Principal, row: Webhook) {
  const {
    id,
    name,
    ownerId,
    since: _,
    origin: _origin,
    failingSince,
    previousUntil,
    createdAt,
    updatedAt,
    url,
    ...shown
  } = row
  const mayManage = decide(rights, 'webhook.manage', { kind: 'webhook', id, name, ownerId }).allowed
  return {
    id,
    name,
    url: mayManage ? url : null,
    host: new URL(url).host,
    ...shown,
    failingSince: failingSince?.toISOString() ?? null,
    previousSecretUntil: previousUntil && previousUntil > new Date() ? previousUntil.toISOString() : null,
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  }
}
