import { type Digest, isRepositoryName, isTag, parseDigest } from '@berth/oci'
import { type Aliases, aliasOf } from './aliases.ts'

/** A name here, and what is meant of it. */
export type Place = { basePath: string; tag?: string; digest?: Digest }

/** An image as a Containerfile names it, with the names here that it may stand for, in the order in which they are tried. */
export type Reference = { text: string; places: Place[] }

const dockerHub = 'docker.io'

/**
 * Reads an image reference. A name that begins with a host that is ours is a name here; so is one without a host, which may also stand
 * for what Docker Hub calls so, by an alias. `undefined`: it is no reference.
 */
export function readReference(
  text: string,
  { hosts, aliases }: { hosts: readonly string[]; aliases: Aliases },
): Reference | undefined {
  const [named = '', digestText, ...more] = text.split('@')
  const digest = digestText === undefined ? undefined : parseDigest(digestText)
  if (more.length > 0 || (digestText !== undefined && !digest)) return undefined
  const colon = named.lastIndexOf(':')
  const hasTag = colon > named.lastIndexOf('/')
  const tag = hasTag ? named.slice(colon + 1) : 'latest'
  const name = hasTag ? named.slice(0, colon) : named
  const { host, path } = splitHost(name)
  if (!isRepositoryName(path) || !isTag(tag)) return undefined
  const meant = digest ? { digest } : { tag }
  const full = `${host ?? dockerHub}/${host === undefined && !path.includes('/') ? `library/${path}` : path}`
  const names = [
    ...(host === undefined || hosts.includes(host) ? [path] : []),
    ...(host === undefined || !hosts.includes(host) ? [aliasOf(aliases, full) ?? ''] : []),
  ]
  const places = [...new Set(names)].filter((one) => isRepositoryName(one)).map((basePath) => ({ basePath, ...meant }))
  return { text, places }
}

/** As docker tells a host from the first part of a name: by a dot, a colon, or that it is this machine. */
function splitHost(name: string): { host: string | undefined; path: string } {
  const slash = name.indexOf('/')
  const first = name.slice(0, Math.max(slash, 0))
  if (slash < 0 || !(/[.:]/.test(first) || first === 'localhost')) return { host: undefined, path: name }
  return { host: first.toLowerCase(), path: name.slice(slash + 1) }
}
