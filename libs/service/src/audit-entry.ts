import { AsyncLocalStorage } from 'node:async_hooks'
import type { Actor } from './principal.ts'

/** What was changed, or was to be: the id is absent where only a name was sent, and of what is not one thing. */
export type AuditObject = { kind: string; id: string | null; name: string | null }

/** Who does what with what. Never holds a body, nor anything that is secret. */
export type AuditEntry = {
  /** An `operationId` of the API, a verb of `/v2` such as `v2.manifest.put`, or `login`. */
  action: string
  actor: Actor
  object: AuditObject
  /** The namespace, where the name of the object does not tell it. */
  namespace?: string | null
  /** What of the object: a tag, a digest, the number of a version. */
  detail: string | null
  /** The client's address; null for what Berth does at a time that somebody has set. */
  address: string | null
  requestId: string
}

/** An entry whose change is under way. */
export type OpenAudit = { entry: AuditEntry; isRecorded: boolean; isUnchanged: boolean }

const current = new AsyncLocalStorage<OpenAudit | undefined>()

/**
 * Has what `work` changes in a database recorded as `entry`: the first transaction that changes something carries it. Without an entry
 * nothing is recorded.
 */
export function withAudit<T>(entry: AuditEntry | undefined, work: () => T): T {
  if (entry === undefined && current.getStore() === undefined) return work()
  return current.run(entry && { entry, isRecorded: false, isUnchanged: false }, work)
}

/** What is still to be recorded of what is being done. */
export function openAudit(): OpenAudit | undefined {
  const open = current.getStore()
  return open?.isRecorded === false ? open : undefined
}

/** The same for a transaction that is done, unless that has said that it changed nothing. */
export function takeAuditOfChange(): OpenAudit | undefined {
  const open = openAudit()
  if (!open?.isUnchanged) return open
  open.isUnchanged = false
  return undefined
}

/** Says more exactly who it is or what is changed, when that becomes known on the way. Of another object it says nothing. */
export function noteAudit(known: {
  actor?: Actor
  object?: AuditObject
  namespace?: string | null
  detail?: string
}): void {
  const open = openAudit()
  if (!open) return
  const { entry } = open
  const { actor = entry.actor, detail = entry.detail, object = entry.object, namespace = entry.namespace } = known
  const isOther = entry.object.id !== null && object.id !== entry.object.id
  if (object.kind !== entry.object.kind || isOther) return
  const named = { ...object, name: object.name ?? entry.object.name }
  open.entry = { ...entry, actor, detail, object: named, ...(namespace === undefined ? {} : { namespace }) }
}

/**
 * Says that the open transaction changes nothing after all, as when a command comes again: for the database a lock on a row is a reason
 * to give it an id too.
 */
export function noteUnchanged(): void {
  const open = openAudit()
  if (open) open.isUnchanged = true
}

// Kinds whose names begin with their namespace; a robot without a slash in its name belongs to none.
const named = new Set(['repository', 'distribution', 'remote', 'schedule', 'webhook', 'namespace'])

/** The namespace that something belongs to, by its name. */
export function namespaceOf({ kind, name }: AuditObject): string | null {
  if (name === null) return null
  // A grant is called by what it is on: `repository:team/app`, `team/*`, or `*`.
  if (kind === 'grant') return name === '*' ? null : (name.replace(/^[a-z]+:/, '').split('/')[0] ?? null)
  const [first = '', ...rest] = name.split('/')
  return named.has(kind) || (kind === 'robot' && rest.length > 0) ? first : null
}
