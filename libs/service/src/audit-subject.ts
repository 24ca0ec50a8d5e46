import type { ObjectFinders } from './api-access.ts'
import type { Operation } from './api-document.ts'
import type { AuditEntry, AuditObject } from './audit-entry.ts'
import { isUuid } from './uuid.ts'

type Sent = { params: Record<string, string>; query: Record<string, unknown>; body: unknown }
type Place = 'params' | 'body' | 'query'

/** What an operation is about: of which kind, where its request names it, and which parameters say what of it. */
export type AuditSubject = { kind: string; named?: { place: Place; field: string }; details: readonly string[] }

const template = /^([a-z-]+)(?::\{(?:(body|query)\.)?([\w.]+)\})?$/

/**
 * What an operation is about, for the audit trail: what its `x-audit` says, as `user:{body.name}` or `store`; else the first parameter of its
 * path, by whose name its kind goes; else what its `x-access` says is to be made. Undefined where none of them says anything.
 */
export function readSubject(operation: Operation, path: string): AuditSubject | undefined {
  const params = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  const [first] = params
  const said =
    operation['x-audit'] ?? (first === undefined ? madeBy(operation['x-access']) : `${kebab(first)}:{${first}}`)
  if (said === undefined) return undefined
  const [match, kind = '', place = 'params', field = ''] = template.exec(said) ?? []
  if (match === undefined) throw new Error(`${path} has an x-audit that says nothing known: ${said}`)
  const details = params.filter((name) => name !== field)
  return { kind, ...(field === '' ? {} : { named: { place: place as Place, field } }), details }
}

/** Whether a method says that something is to change. */
export function isChanging(method: string): boolean {
  return !['get', 'head'].includes(method.toLowerCase())
}

function madeBy(access: unknown): string | undefined {
  const checks: unknown[] = Array.isArray(access) ? access : []
  return checks.map((check) => (check as { new?: string }).new).find((made) => made !== undefined)
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** What a request names, as it names it. */
export function sentObject({ kind, named }: AuditSubject, sent: Partial<Sent>): AuditObject {
  let value: unknown = named && sent[named.place]
  for (const part of named?.field.split('.') ?? [])
    value = (value as Record<string, unknown> | null | undefined)?.[part]
  const given = typeof value === 'string' ? value : null
  return given !== null && isUuid(given)
    ? { kind, id: given.toLowerCase(), name: null }
    : { kind, id: null, name: given }
}

/** What a request is about beside its object. */
export function detailOf({ details }: AuditSubject, params: Record<string, string>): string | null {
  return details.length === 0 ? null : details.map((name) => String(params[name])).join(' ')
}

/** The entry of a change that is about to be made. What there is already is told by its id and the name that it has now. */
export async function entryOf(
  subject: AuditSubject,
  sent: Sent,
  objects: ObjectFinders,
  rest: Omit<AuditEntry, 'object' | 'detail'>,
): Promise<AuditEntry> {
  const object = sentObject(subject, sent)
  const given = object.id ?? object.name
  const find = (objects as Partial<Record<string, ObjectFinders['repository']>>)[object.kind]
  const found = given === null ? undefined : await find?.(given)
  const known = found ? { kind: object.kind, id: found.id ?? object.id, name: found.name } : object
  return { ...rest, object: known, detail: detailOf(subject, sent.params) }
}
