import { isRepositoryName } from '@berth/oci'
import type { Access } from '@berth/tokens'

const actionName = /^(\*|[a-z]{1,32})$/
// A token travels in a header and is refused above 8 KiB; base64 and the other claims take their part.
const grantLimitCharacters = 4_096

/**
 * The one place that decides who may do what. Administrators may do everything, so they get exactly what they ask for;
 * all others get nothing, as public content is served without any grant. What is not granted is left out and never an error
 * (docs/protocol.md#tokens).
 */
export function decideAccess(who: { isAdmin: boolean } | undefined, wanted: readonly Access[]): Access[] {
  if (!who?.isAdmin) return []
  const granted: Access[] = []
  let characters = 0
  for (const access of merge(wanted.filter(exists))) {
    characters += JSON.stringify(access).length + 1
    if (characters > grantLimitCharacters) break
    granted.push(access)
  }
  return granted
}

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
