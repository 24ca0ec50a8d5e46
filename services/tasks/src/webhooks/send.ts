import { type CloudEvent, typeOf, webhookEvents } from '@berth/bus'
import { type Posted, postGuarded, UpstreamError } from '@berth/registry-client'
import { type Database, type Principal, type Sealer, version, withoutSecrets } from '@berth/service'
import { type LoggedEvent, loggedColumns, showEvent } from '../event-log/seen-events.ts'
import { objectsOf } from '../visible.ts'
import type { Accounts } from './accounts.ts'
import { openSecrets } from './change-webhooks.ts'
import type { Claimed } from './claim.ts'
import { seenBy } from './make-deliveries.ts'
import type { AddReferences } from './references.ts'
import { render } from './render.ts'
import { signatureOf } from './secret.ts'
import { findWebhook, type Webhook } from './webhook.ts'

/** What came of a try, with all that the log keeps of it. */
export type Tried = {
  /** With whose rights it was decided what is sent. */
  accountId: string
  durationMs: number
  requestHeaders: Record<string, string>
  requestBody: string
  status?: number
  responseHeaders?: Record<string, string>
  responseBody?: string
  /** Why it came to nothing. */
  error?: string
}
export type Outcome =
  | { is: 'tried'; tried: Tried }
  /** Its account may see it no more: as if it had never been to be sent. */
  | { is: 'unseen' }
  | { is: 'over'; error: string }
  | { is: 'disabled'; reason: string }

export type SendDeps = { db: Database; sealer: Sealer; accounts: Accounts; addReferences: AddReferences }

const withinMs = 15_000
const keptBytes = 4 << 10

/** Sends a delivery once. Throws where it cannot be told whether it may: then nothing was sent. */
export async function send(deps: SendDeps, claimed: Claimed, signal: AbortSignal): Promise<Outcome> {
  const { db, sealer, accounts } = deps
  const webhook = await findWebhook(db, claimed.webhookId)
  const caller = await accounts(webhook.accountId)
  if (!caller) return { is: 'disabled', reason: `${webhook.account}, whose rights it used, is gone` }
  const opened = await openSecrets(db, sealer, webhook.id)
  if (!opened) return { is: 'unseen' }
  const found =
    claimed.event === null ? testEvent(webhook, claimed.id) : await findEvent(deps, caller, webhook, claimed.event)
  if (found === 'unseen') return { is: 'unseen' }
  if (found === 'forgotten') return { is: 'over', error: 'the event is no longer kept' }
  const { headers, body } = render(found, webhook)
  const timestamp = Math.floor(Date.now() / 1_000)
  const own = {
    ...headers,
    'user-agent': `berth/${version}`,
    'webhook-id': found.id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signatureOf(opened.secrets, { id: found.id, timestamp, body }),
  }
  const startedAt = performance.now()
  const told = await tell(webhook, { ...opened.headers, ...own }, body, signal)
  return {
    is: 'tried',
    tried: {
      accountId: webhook.accountId,
      durationMs: Math.round(performance.now() - startedAt),
      // Those of the webhook are as good as passwords.
      requestHeaders: { ...Object.fromEntries(webhook.headerNames.map((name) => [name, '…'])), ...own },
      requestBody: cut(body),
      ...told,
    },
  }
}

async function tell(
  { url, caCert, allowPrivateAddresses }: Webhook,
  headers: Record<string, string>,
  body: string,
  signal: AbortSignal,
): Promise<Partial<Tried>> {
  try {
    const ca = caCert ?? undefined
    const answer = await postGuarded({
      url: new URL(url),
      headers,
      body,
      ca,
      allowPrivateAddresses,
      withinMs,
      keptBytes,
      signal,
    })
    return {
      status: answer.status,
      responseHeaders: kept(answer),
      responseBody: cut(withoutSecrets(answer.body)),
      ...(answer.status >= 200 && answer.status < 300 ? {} : { error: `it answered ${answer.status}` }),
    }
  } catch (error) {
    signal.throwIfAborted()
    return { error: reasonOf(error) }
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof UpstreamError)) return error instanceof Error ? error.message : String(error)
  // Said of remotes there.
  return error.code === 'address_refused'
    ? `${error.host} is a private address, or one that is never asked`
    : error.message
}

const mostHeaderBytes = 4 << 10

function kept({ headers }: Posted): Record<string, string> {
  const entries: [string, string][] = []
  let bytes = 0
  for (const [name, value] of Object.entries(headers)) {
    bytes += name.length + value.length
    if (bytes > mostHeaderBytes) break
    entries.push([name, withoutSecrets(value).replaceAll('\0', '')])
  }
  return Object.fromEntries(entries)
}

function cut(text: string): string {
  return Buffer.from(text).subarray(0, keptBytes).toString('utf8').replaceAll('\0', '')
}

async function findEvent(
  { db, accounts, addReferences }: SendDeps,
  caller: Principal,
  { accountId, origin }: Webhook,
  event: number,
): Promise<CloudEvent | 'unseen' | 'forgotten'> {
  const [logged] = await db.query<LoggedEvent>(`select ${loggedColumns} from event_log where id = $1`, [event])
  if (!logged) return 'forgotten'
  if ((await seenBy(db, accounts, accountId, [logged.id])).length === 0) return 'unseen'
  const objects = logged.taskId === null ? new Map() : await objectsOf(db, [logged.taskId])
  return addReferences(showEvent(caller, logged, objects), caller, origin)
}

function testEvent({ id, name }: Webhook, deliveryId: string): CloudEvent {
  return {
    specversion: '1.0',
    id: deliveryId,
    source: '/services/tasks',
    type: typeOf(webhookEvents.tested),
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    data: { webhookId: id, webhook: name },
  }
}
