import { type AccessObject, decide, type Rights } from '@berth/access'
import { isRepositoryName } from '@berth/oci'
import type { Sql } from '@berth/service'
import type { Access } from '@berth/tokens'
import { findServed, type Served } from '../objects/served.ts'
import { within } from './limit-scopes.ts'
import { administers } from './rights.ts'

const actionName = /^(\*|[a-z]{1,32})$/
// A token travels in a header and is refused above 8 KiB; base64 and the other claims take their part.
const grantLimitCharacters = 4_096

/**
 * What of the wanted scopes a token gets. Administrators get exactly what they ask for, others what is granted to them, and who has
 * no login nothing, as public content is served without any grant. What is not granted is left out and never an error
 * (docs/protocol.md#tokens). A login that is limited to scopes gets nothing beside them.
 */
export async function decideScopes(
  sql: Sql,
  rights: Rights | undefined,
  wanted: readonly Access[],
  scopes: readonly string[] | null = null,
): Promise<Access[]> {
  const existing = merge(wanted.filter(exists))
  const asked = scopes ? within(scopes, existing) : existing
  if (!rights || asked.length === 0) return []
  if (administers(rights)) return fitting(asked)
  const names = asked.filter(({ type }) => type === 'repository').map(({ name }) => name)
  const served = await findServed(sql, names)
  const granted = asked.map(({ type, name, actions }) => ({
    type,
    name,
    actions: actions.filter((action) =>
      type === 'repository' ? mayUnder(rights, action, name, served.get(name)) : action === '*',
    ),
  }))
  return fitting(granted.filter(({ actions }) => actions.length > 0).map((access) => boundTo(access, served)))
}

/** What may be changed there is said by the repository that was judged: whoever may only pull another one may have it served there next. */
function boundTo(access: Access, served: ReadonlyMap<string, Served>): Access {
  const { type, name, actions } = access
  if (type !== 'repository' || !actions.some((action) => action === 'push' || action === 'delete')) return access
  return { ...access, repository: served.get(name)?.repository?.id ?? null }
}

/** Whether somebody may pull below a base path, be it there or not. */
export async function mayPull(sql: Sql, rights: Rights, basePath: string): Promise<boolean> {
  const [access] = await decideScopes(sql, rights, [{ type: 'repository', name: basePath, actions: ['pull'] }])
  return access !== undefined
}

/**
 * A scope names a base path. To pull takes `pull` on the distribution there, or on that of the host from which what is pulled comes; to
 * push and to delete takes the right on the distribution and on the repository that it serves. Where nothing is served a push makes
 * both, which takes `repository.create` too.
 */
function mayUnder(rights: Rights, action: string, basePath: string, served: Served | undefined): boolean {
  const may = (verb: Parameters<typeof decide>[1], object: AccessObject) => decide(rights, verb, object).allowed
  const place: AccessObject = { kind: 'distribution', name: basePath, ...served?.distribution }
  const named: AccessObject = { kind: 'repository', name: basePath, ...served?.named }
  switch (action) {
    case 'pull':
      return may('pull', place) || (served?.host !== undefined && may('pull', { kind: 'distribution', ...served.host }))
    case 'push':
      if (!served?.distribution) return may('repository.create', named) && may('push', named)
      return may('push', place) && served.repository !== undefined && may('push', served.repository)
    case 'delete':
      if (!served?.distribution) return may('delete', named)
      return may('delete', place) && served.repository !== undefined && may('delete', served.repository)
    default:
      // `*` is for administrators, and what else clients may ask for there is not.
      return false
  }
}

function fitting(granted: readonly Access[]): Access[] {
  const kept: Access[] = []
  let characters = 0
  for (const access of granted) {
    characters += JSON.stringify(access).length + 1
    if (characters > grantLimitCharacters) break
    kept.push(access)
  }
  return kept
}

/** The catalog is the one thing beside repositories: who may list it sees there what it may pull, so everybody with a login may. */
function exists({ type, name }: Access): boolean {
  return type === 'repository' ? isRepositoryName(name) : type === 'registry' && name === 'catalog'
}

/** One access a resource, with all actions that were asked for it. */
function merge(accesses: readonly Access[]): Access[] {
  const merged = new Map<string, Access>()
  for (const { type, name, actions } of accesses) {
    const before = merged.get(`${type}:${name}`)?.actions ?? []
    const known = actions.filter((action) => actionName.test(action))
    merged.set(`${type}:${name}`, { type, name, actions: [...new Set([...before, ...known])] })
  }
  return [...merged.values()].filter(({ actions }) => actions.length > 0)
}
