import { type Digest, isRepositoryName, isTag, parseDigest } from '@berth/oci'
import { Problem } from '@berth/service'
import { type Aliases, aliasOf } from './aliases.ts'

/** A name here, and what is meant of it. */
export type Place = { basePath: string; tag?: string; digest?: Digest }

/** An image as a Containerfile names it, with the names here that it may stand for, in the order in which they are tried. */
export type Reference = { text: string; line: number; places: Place[] }

const dockerHub = 'docker.io'
const hostName = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::\d{1,5})?$/

/** An image that a Containerfile names: where first, and for which platforms. */
export type NamedImage = { reference: string; line: number; platforms: readonly string[] }

/** Which hosts are ours, and what names of others mean. */
export type Naming = { hosts: readonly string[]; aliases: Aliases }

/**
 * Reads an image reference. A name that begins with a host that is ours is a name here; so is one without a host, which may also stand
 * for what Docker Hub calls so, by an alias. Throws 400 for what is no reference.
 */
export function readReference(
  { reference: text, line }: Pick<NamedImage, 'reference' | 'line'>,
  { hosts, aliases }: Naming,
): Reference {
  const noReference = new Problem(400, 'base_invalid', `Containerfile:${line}: "${text}" is no name of an image.`, {
    field: 'containerfile',
    hint: 'As mirrors/debian:13, or with a digest behind an @.',
    more: { line },
  })
  const [named = '', digestText, ...more] = text.split('@')
  const digest = digestText === undefined ? undefined : parseDigest(digestText)
  if (more.length > 0 || (digestText !== undefined && !digest)) throw noReference
  const colon = named.lastIndexOf(':')
  const hasTag = colon > named.lastIndexOf('/')
  const tag = hasTag ? named.slice(colon + 1) : 'latest'
  const name = hasTag ? named.slice(0, colon) : named
  const { host, path } = splitHost(name)
  if (!isRepositoryName(path) || !isTag(tag) || (host !== undefined && !hostName.test(host))) throw noReference
  const meant = digest ? { digest } : { tag }
  const there = host ?? dockerHub
  const full = `${there}/${there === dockerHub && !path.includes('/') ? `library/${path}` : path}`
  const names = [
    ...(host === undefined || hosts.includes(host) ? [path] : []),
    ...(host === undefined || !hosts.includes(host) ? [aliasOf(aliases, full) ?? ''] : []),
  ]
  const places = [...new Set(names)].filter((one) => isRepositoryName(one)).map((basePath) => ({ basePath, ...meant }))
  return { text, line, places }
}

/** As docker tells a host from the first part of a name: by a dot, a colon, or that it is this machine. */
function splitHost(name: string): { host: string | undefined; path: string } {
  const slash = name.indexOf('/')
  const first = name.slice(0, Math.max(slash, 0))
  if (slash < 0 || !(/[.:]/.test(first) || first === 'localhost')) return { host: undefined, path: name }
  return { host: first.toLowerCase(), path: name.slice(slash + 1) }
}

/** The hosts by which Berth is reached, as a caller sees it and as it is configured. */
export function hostsOf(externalUrl: string | undefined, asked: string): string[] {
  const hosts = [asked, ...(externalUrl === undefined ? [] : [new URL(externalUrl).host])]
  return hosts.map((one) => one.toLowerCase())
}
