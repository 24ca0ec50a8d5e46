import { type AccessObject, BadOn, decide, type On, parseOn, type Rights, type Verb } from '@berth/access'
import { badField, notSeen, type Sql } from '@berth/service'
import { findObject, isCopied, type KnownObject } from '../objects/object.ts'
import type { GrantRow } from './grant-row.ts'

/** What a grant is on, with the object where it is on one. */
export type Target = { everything: true } | { prefix: string } | { namespace: string } | { object: KnownObject }

const namespaceName = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$/
const longestOn = 300

/** Finds an object that auth has not heard of yet; `undefined` when there is none. */
export type AskOwner = (kind: KnownObject['kind'], idOrName: string) => Promise<KnownObject | undefined>

/** Reads what a grant is to be on. Throws 400 that names the place in the text. */
export function readOn(text: string): On {
  try {
    const on = parseOn(text)
    if ('kind' in on) checkKind(on, text)
    return on
  } catch (error) {
    if (!(error instanceof BadOn)) throw error
    throw badField('on', error.message, 'Write *, team/*, namespace:team, or repository:team/app.')
  }
}

function checkKind({ kind, name }: { kind: string; name: string }, text: string): void {
  const at = kind.length + 1
  if (kind === 'namespace' && !namespaceName.test(name))
    throw new BadOn(`"${name}" is no name of a namespace, which has no slash`, at)
  if (kind !== 'namespace' && !isCopied(kind))
    throw new BadOn('grants are on repositories, distributions, remotes and namespaces', 0)
  if (text.length > longestOn) throw new BadOn('it is longer than any name', longestOn)
}

/** Reads which one object a question is about, be it there or not. Throws 400. */
export function readObject(text: string): AccessObject {
  try {
    const on = parseOn(text)
    if ('kind' in on) return on
    throw new BadOn('a pattern stands for many objects', 0)
  } catch (error) {
    if (!(error instanceof BadOn)) throw error
    throw badField('on', error.message, 'Name one object, as in repository:team/app.')
  }
}

/**
 * Finds what a grant is to be on. Throws 404 where there is nothing, and also where the caller has no right on it. An object that was
 * made a moment ago may be known to its owner only, who is asked for those that may know of it by a right on its name; so what is
 * missing and what is hidden cost the same.
 */
export async function findTarget(sql: Sql, on: On, rights: Rights, askOwner: AskOwner): Promise<Target> {
  if ('all' in on) return { everything: true }
  if ('prefix' in on) return on
  const { kind, name } = on
  if (!isCopied(kind)) return { namespace: name }
  const known = await findObject(sql, kind, name)
  const mayAsk = decide(rights, 'grant', { kind, name }).allowed
  const object = known ?? (mayAsk ? await askOwner(kind, name) : undefined)
  if (!object || !(mayDo(rights, 'read', object) || mayDo(rights, 'grant', object))) throw notSeen(kind, name)
  return { object }
}

/** What the grant of a row is on. */
export function targetOf(row: GrantRow): Target {
  const { everything, prefix, namespace, objectId, objectKind, objectName, objectOwnerId } = row
  if (everything) return { everything }
  if (prefix !== null) return { prefix }
  if (namespace !== null) return { namespace }
  if (objectId === null || objectKind === null || objectName === null) throw new Error('a grant is on nothing')
  return { object: { kind: objectKind, id: objectId, name: objectName, ownerId: objectOwnerId } }
}

/** Whether somebody has a verb on all that a grant would be on: nobody gives what they do not have. */
export function holds(rights: Rights, verb: Verb, target: Target): boolean {
  if ('object' in target) return mayDo(rights, verb, target.object)
  if ('namespace' in target) return mayDo(rights, verb, { kind: 'namespace', name: target.namespace })
  return rights.grants.some((grant) => {
    if (!grant.verbs.includes(verb)) return false
    if ('all' in grant) return true
    if (!('prefix' in target)) return false
    if ('prefix' in grant) return target.prefix.startsWith(grant.prefix)
    return 'namespace' in grant && target.prefix.startsWith(`${grant.namespace}/`)
  })
}

function mayDo(rights: Rights, verb: Verb, object: AccessObject): boolean {
  return decide(rights, verb, object).allowed
}
