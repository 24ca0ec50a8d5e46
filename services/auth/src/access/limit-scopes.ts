import { isRepositoryName } from '@berth/oci'
import { badField } from '@berth/service'
import { type Access, parseScopes } from '@berth/tokens'

const known = new Set(['pull', 'push', 'delete'])
const form = 'A scope is repository:NAME:ACTIONS, as repository:team/app:pull,push or repository:team/*:pull.'

/** Checks the scopes that something is to be limited to: of repositories, by base path or by all below a prefix. Throws 400. */
export function readScopes(field: string, texts: readonly string[]): void {
  texts.forEach((text, place) => {
    const refuse = (why: string) => badField(`${field}[${place}]`, why, form)
    const [access, ...more] = parseScopes([text])
    if (!access || more.length > 0 || access.type !== 'repository')
      throw refuse(`"${text}" is no scope of a repository`)
    const base = access.name.endsWith('/*') ? access.name.slice(0, -2) : access.name
    if (!isRepositoryName(base))
      throw refuse(`"${access.name}" is no name of a repository, and no prefix with /* behind it`)
    const strange = access.actions.find((action) => !known.has(action))
    if (strange !== undefined || access.actions.length === 0)
      throw refuse(
        strange === undefined ? `"${text}" names no action` : `"${strange}" is no action: pull, push or delete`,
      )
  })
}

/** What of some accesses is within scopes. */
export function within(scopes: readonly string[], accesses: readonly Access[]): Access[] {
  const limits = parseScopes(scopes)
  return accesses
    .map((access) => ({
      ...access,
      actions: access.actions.filter((action) => limits.some((limit) => covers(limit, access, action))),
    }))
    .filter(({ actions }) => actions.length > 0)
}

function covers(limit: Access, { type, name }: Access, action: string): boolean {
  const isNamed = limit.name.endsWith('/*') ? name.startsWith(limit.name.slice(0, -1)) : limit.name === name
  return limit.type === type && isNamed && limit.actions.includes(action)
}
