import { type Kind, ownVerbs, publicVerbs, type Verb, verbs } from './verbs.ts'

/**
 * One grant as auth tells it: verbs on everything, on all names below a prefix, on a namespace with all that is in it, or on one
 * object by its id, so that another one of its name inherits nothing. A distribution that is not made yet is granted by its base path.
 */
export type Grant = { id: string; verbs: readonly Verb[] } & (
  | { all: true }
  | { prefix: string }
  | { namespace: string }
  | { kind: Kind; objectId: string }
)

/**
 * What an account may do: the grants that it, its groups and everybody with a login have, and who it is as an owner. What a robot makes
 * belongs to the namespace, so a robot owns nothing: `null`.
 */
export type Rights = { accountId: string | null; grants: readonly Grant[] }

/** What is to be done with. `name` is what patterns are compared with: of a distribution its base path. */
export type AccessObject = {
  kind: Kind
  name: string
  /** Absent for what is still to be made. */
  id?: string | undefined
  ownerId?: string | null | undefined
  isPublic?: boolean | undefined
}

/** Why something is allowed, or which verb is missing. */
export type Decision =
  | { allowed: true; because: { grant: string } | { owner: true } | { public: true } }
  | { allowed: false; because: null; missing: Verb }

/** The one place that decides who may do what. Pure: the caller brings the rights, and the facts of its own object. */
export function decide({ accountId, grants }: Rights, verb: Verb, object: AccessObject): Decision {
  if (object.isPublic && publicVerbs.has(verb)) return { allowed: true, because: { public: true } }
  if (accountId !== null && object.ownerId === accountId && ownVerbs.has(verb))
    return { allowed: true, because: { owner: true } }
  const grant = grants.find((one) => one.verbs.includes(verb) && covers(one, object))
  if (grant) return { allowed: true, because: { grant: grant.id } }
  return { allowed: false, because: null, missing: verb }
}

/** Whether a grant is on an object. */
function covers(grant: Grant, { kind, name, id }: AccessObject): boolean {
  if ('all' in grant) return true
  if ('prefix' in grant) return kind !== 'namespace' && name.startsWith(grant.prefix)
  if ('namespace' in grant) return name === grant.namespace || name.startsWith(`${grant.namespace}/`)
  return kind === grant.kind && id !== undefined && id === grant.objectId
}

/** Whether an account has a verb on anything at all; what asks for it on nothing else needs no more. */
export function hasAnywhere({ grants }: Rights, verb: Verb): boolean {
  return grants.some((grant) => grant.verbs.includes(verb))
}

/** What an administrator may do: everything. */
export function adminRights(accountId: string): Rights {
  return { accountId, grants: [{ id: 'admin', verbs: Object.keys(verbs) as Verb[], all: true }] }
}

/** What somebody may do whom nothing was granted. */
export function noRights(accountId: string | null): Rights {
  return { accountId, grants: [] }
}
