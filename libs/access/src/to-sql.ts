import type { Rights } from './decide.ts'
import { type Kind, ownVerbs, publicVerbs, type Verb } from './verbs.ts'

/** Where a query finds what is decided by: columns, or SQL over them; `name` has the collation "C". */
export type AccessColumns = { name: string; id: string; owner?: string; isPublic?: string }

/**
 * The decision about rows of a kind as a condition for SQL, and its parameters from `$first` on: what `decide` allows, and nothing else.
 * A prefix is a range of names, so that an index by name answers it. `true` stands for everything and `false` for nothing.
 */
export function toSql(
  { accountId, grants }: Rights,
  verb: Verb,
  kind: Kind,
  columns: AccessColumns,
  first: number,
): { condition: string; values: unknown[] } {
  const holding = grants.filter((grant) => grant.verbs.includes(verb))
  if (holding.some((grant) => 'all' in grant)) return { condition: 'true', values: [] }
  const values: unknown[] = []
  const place = (value: unknown, type: string) => `$${first + values.push(value) - 1}::${type}`
  const ranges = kind === 'namespace' ? [] : holding.flatMap((grant) => ('prefix' in grant ? [grant.prefix] : []))
  const namespaces = holding.flatMap((grant) => ('namespace' in grant ? [grant.namespace] : []))
  const ids = holding.flatMap((grant) => ('objectId' in grant && grant.kind === kind ? [grant.objectId] : []))
  const { name, id, owner, isPublic } = columns
  const conditions = [
    ...(isPublic !== undefined && publicVerbs.has(verb) ? [isPublic] : []),
    ...(owner !== undefined && accountId !== null && ownVerbs.has(verb)
      ? [`${owner} = ${place(accountId, 'uuid')}`]
      : []),
    ...(ids.length > 0 ? [`${id} = any(${place(ids, 'uuid[]')})`] : []),
    ...(namespaces.length > 0 ? [`${name} = any(${place(namespaces, 'text[]')})`] : []),
    ...withoutInner([...ranges, ...namespaces.map((one) => `${one}/`)]).map(
      (prefix) => `(${name} >= ${place(prefix, 'text')} and ${name} < ${place(endOf(prefix), 'text')})`,
    ),
  ]
  return { condition: conditions.length > 0 ? `(${conditions.join(' or ')})` : 'false', values }
}

/** Prefixes without those that lie in another one. */
function withoutInner(prefixes: readonly string[]): string[] {
  const sorted = [...new Set(prefixes)].sort()
  return sorted.filter((prefix) => !sorted.some((other) => other !== prefix && prefix.startsWith(other)))
}

/** The first text behind all that begin with a prefix. Prefixes end with a slash, so there is one. */
function endOf(prefix: string): string {
  const last = prefix.length - 1
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1)
}
