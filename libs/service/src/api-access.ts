import { type AccessObject, decide, hasAnywhere, isVerb, type Kind, kinds, roleWith, type Verb } from '@berth/access'
import type { Principal } from './principal.ts'
import { notFound, Problem } from './problem.ts'

/**
 * Who may call an operation, said in its document as `x-access`: anybody; who has logged in; who has logged in, for a list that is
 * filtered by a verb; or who may do all of these things. `on` names an object that is there, `new` one that is to be made, `over` all
 * there is: `repository:{repository}`, where braces hold a parameter of the path, or `body.` and `query.` fields. What is not
 * sent is not asked after.
 */
export type AccessRule = 'anonymous' | 'self' | { list: Verb } | Check[]
type Check = { verb: Verb } & ({ on: string } | { new: string } | { over: 'everything' })

/** Finds an object of a kind by id or name, with what is decided by; `undefined` when there is none. */
export type ObjectFinders = Partial<Record<Kind, (idOrName: string) => Promise<AccessObject | undefined>>>

const template = /^([a-z]+):\{(?:(body|query)\.)?([\w.]+)\}$/
const kindNames: readonly string[] = kinds

/** Reads the `x-access` of an operation. Throws where it is missing or says nothing that is known, so that nothing is open by oversight. */
export function readRule(value: unknown, where: string): AccessRule {
  if (value === 'anonymous' || value === 'self') return value
  if (Array.isArray(value) && value.length > 0 && value.every(isCheck)) return value as Check[]
  if (typeof value === 'object' && value !== null && 'list' in value && isVerb(String(value.list)))
    return value as { list: Verb }
  throw new Error(`${where} has no x-access that says who may call it: ${JSON.stringify(value)}`)
}

function isCheck(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { verb, ...object } = value as Record<string, unknown>
  const [[place, named] = [], ...more] = Object.entries(object)
  if (more.length > 0 || !isVerb(String(verb))) return false
  if (place === 'over') return named === 'everything'
  const [, kind = ''] = template.exec(String(named)) ?? []
  return (place === 'on' || place === 'new') && kindNames.includes(kind)
}

/** Decides what can be decided before any byte of a body is read, so that a caller without a right cannot cause any parsing. */
export function requireLogin(rule: AccessRule, principal: Principal | undefined, what: string): void {
  if (rule === 'anonymous') return
  if (!principal)
    throw new Problem(401, 'login_required', 'Log in to do this.', {
      hint: 'Send Basic credentials or a Bearer token.',
      headers: { 'www-authenticate': 'Basic realm="berth"' },
    })
  if (!Array.isArray(rule)) return
  for (const check of rule)
    if ('over' in check && !hasAnywhere(principal.rights, check.verb)) throw refusal(principal, check.verb, what)
}

type Sent = { params: Record<string, string>; query: Record<string, unknown>; body: unknown }

/**
 * Decides by the objects that a request names. What is missing and what the caller may not see answer alike (404); what it may see and
 * not do so is 403 with the verb and a role that has it.
 */
export async function requireRights(
  rule: AccessRule,
  principal: Principal,
  sent: Sent,
  { objects, what }: { objects: ObjectFinders; what: string },
): Promise<void> {
  if (!Array.isArray(rule)) return
  for (const check of rule) {
    if ('over' in check) {
      const everything: AccessObject = { kind: 'settings', name: '' }
      if (!decide(principal.rights, check.verb, everything).allowed) throw refusal(principal, check.verb, what)
      continue
    }
    const { kind, given } = readTemplate('on' in check ? check.on : check.new, sent)
    if (given === undefined) continue
    if ('new' in check) {
      requireVerb(principal, check.verb, { kind, name: given }, what)
      continue
    }
    await createGuard(objects)(principal, check.verb, { kind, given, what })
  }
}

/** What a request does, and what it does it with: of which kind, and by which id or name. */
type Wanted = { kind: Kind; given: string; what: string }
export type Guard = (principal: Principal, verb: Verb, wanted: Wanted) => Promise<void>

/** Decides about single objects, for handlers whose requests name more of them than a rule can say. Throws as `requireRight`. */
export function createGuard(objects: ObjectFinders): Guard {
  return async (principal, verb, wanted) => {
    // Who may do it with everything may do it with this: what there is the handler says.
    if (mayEverything(principal, verb)) return
    const find = objects[wanted.kind]
    if (!find) throw new Error(`${wanted.what} is checked on a ${wanted.kind}, of which this service has no objects`)
    requireRight(principal, verb, await find(wanted.given), wanted)
  }
}

function readTemplate(text: string, { params, query, body }: Sent): { kind: Kind; given: string | undefined } {
  const [, kind, place, field = ''] = template.exec(text) ?? []
  let value: unknown = place === 'body' ? body : place === 'query' ? query : params
  for (const name of field.split('.')) value = (value as Record<string, unknown> | null | undefined)?.[name]
  return { kind: kind as Kind, given: typeof value === 'string' ? value : undefined }
}

function mayEverything({ rights }: Principal, verb: Verb): boolean {
  return rights.grants.some((grant) => 'all' in grant && grant.verbs.includes(verb))
}

/** Throws unless a caller may do something with an object: 404 as for a missing one, or 403. `given` is how the request named it. */
function requireRight(
  principal: Principal,
  verb: Verb,
  object: AccessObject | undefined,
  { kind, given, what }: Wanted,
): asserts object is AccessObject {
  if (!object || !(decide(principal.rights, 'read', object).allowed || decide(principal.rights, verb, object).allowed))
    throw notSeen(kind, given)
  if (!decide(principal.rights, verb, object).allowed) throw refusal(principal, verb, what, `${kind} "${object.name}"`)
}

/** Throws 403 unless a caller may do something with an object that is no secret: one that it names itself, and that may not be there. */
export function requireVerb(principal: Principal, verb: Verb, object: AccessObject, what: string): void {
  if (!decide(principal.rights, verb, object).allowed)
    throw refusal(principal, verb, what, `${object.kind} "${object.name}"`)
}

// What was refused for want of a right is counted; whether the object is there makes no difference, or the count would tell it.
const refusals = new WeakSet<Problem>()

/** 404 for a named thing that is not there or that the caller may not see: which of both nobody is told, and the audit trail neither. */
export function notSeen(kind: string, name: string): Problem {
  const problem = notFound(kind, name)
  refusals.add(problem)
  return problem
}

/**
 * Whether a request was refused by who asks: its login, or its rights; a quota is for everybody. A password that is wrong is counted where
 * it is judged.
 */
export function isRefusal(problem: Problem): boolean {
  return (
    (problem.status === 403 && problem.code !== 'quota_exceeded') ||
    problem.code === 'login_required' ||
    refusals.has(problem)
  )
}

function refusal({ name }: Principal, verb: Verb, what: string, on?: string): Problem {
  const role = roleWith(verb)
  const place = on === undefined ? '' : ` on ${on}`
  return new Problem(403, 'not_allowed', `${name} may not ${what}: that needs "${verb}"${place}.`, {
    hint: role === 'admin' ? 'Ask an administrator.' : `Ask an owner for the role "${role}".`,
    more: { missing: { verb, role } },
  })
}
