import { isRepositoryName } from '@berth/oci'

/** What names of other registries are here, prefix by prefix: `docker.io/library` is `mirrors/library`. */
export type Aliases = ReadonlyMap<string, string>

const registryHost = /^[a-zA-Z0-9.-]+(:\d{1,5})?(\/|$)/

/** Reads `docker.io/library=mirrors/library,quay.io=quay`; `undefined` for what cannot be read. */
export function readAliases(text: string): Aliases | undefined {
  const aliases = new Map<string, string>()
  for (const one of text.split(',')) {
    const [from, to, ...more] = one.trim().split('=')
    if (!from || !to || more.length > 0 || !registryHost.test(from) || from.endsWith('/') || !isRepositoryName(to))
      return undefined
    aliases.set(from, to)
  }
  return aliases
}

/** The name here that an alias gives to the name of another registry; of several aliases the longest counts. */
export function aliasOf(aliases: Aliases, name: string): string | undefined {
  const [from] = [...aliases.keys()]
    .filter((prefix) => name === prefix || name.startsWith(`${prefix}/`))
    .sort((a, b) => b.length - a.length)
  return from === undefined ? undefined : `${aliases.get(from)}${name.slice(from.length)}`
}
