import { X509Certificate } from 'node:crypto'
import { BadPattern, isRepositoryName, parseTagPattern } from '@berth/oci'
import { isPrivateAddress, normalizeRegistryUrl } from '@berth/registry-client'
import { badField } from '@berth/service'

/** What a client sends to make or change a remote. */
export type RemoteBody = {
  name: string
  url: string
  upstreamName: string
  policy?: string
  includeTags?: string[]
  excludeTags?: string[]
  username?: string | null
  password?: string | null
  token?: string | null
  tlsValidation?: boolean
  caCert?: string | null
  concurrency?: number
  retries?: number
  allowPrivateAddresses?: boolean
}

/** What the grammar of the API document cannot say. Throws a 400 that names the field and the remedy. */
export function checkRemote(remote: RemoteBody & { hasPassword: boolean; hasToken: boolean }): void {
  const url = checkUrl(remote.url, remote.allowPrivateAddresses ?? false)
  if (!isRepositoryName(remote.upstreamName))
    throw badField(
      'upstreamName',
      'is not a repository name',
      'Write it as the upstream does, such as library/alpine, without host and tag.',
    )
  if (remote.policy !== undefined && remote.policy !== 'immediate')
    throw badField(
      'policy',
      `"${remote.policy}" is not available in this release`,
      'Use immediate: all bytes are copied when it syncs.',
    )
  for (const field of ['includeTags', 'excludeTags'] as const)
    remote[field]?.forEach((pattern, i) => checkPattern(`${field}[${i}]`, pattern))
  const hasUser = remote.username !== undefined && remote.username !== null
  if (hasUser && !remote.hasPassword)
    throw badField('password', 'is missing while a username is given', 'Send both, or neither.')
  if (!hasUser && remote.hasPassword)
    throw badField('username', 'is missing while a password is given', 'Send both, or neither.')
  if (remote.hasToken && hasUser) throw badField('token', 'cannot be combined with a username', 'Send one of the two.')
  if (remote.caCert && !holdsCertificates(remote.caCert))
    throw badField('caCert', 'is not a certificate in PEM form', 'It begins with -----BEGIN CERTIFICATE-----.')
  if (url.protocol === 'http:' && remote.caCert)
    throw badField('caCert', 'has no use for a URL that begins with http://')
}

/** Whether every certificate of the text can be read, and there is one. */
function holdsCertificates(text: string): boolean {
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  try {
    return found.length > 0 && found.every((pem) => new X509Certificate(pem).subject !== undefined)
  } catch {
    // OpenSSL says no more than that it is none
    return false
  }
}

function checkUrl(text: string, allowPrivateAddresses: boolean): URL {
  if (!URL.canParse(text)) throw badField('url', 'is not a URL', 'Write it as https://registry.example.com.')
  const url = new URL(text)
  if (url.username || url.password)
    throw badField('url', 'holds credentials', 'Send them as username and password, where they are sealed.')
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw badField('url', `has the scheme "${url.protocol}//"`, 'Use https:// or http://.')
  if ((url.pathname !== '/' && url.pathname !== '') || url.search || url.hash)
    throw badField('url', 'names more than a host', 'Leave the path away and send the repository as upstreamName.')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (!allowPrivateAddresses && (isPrivateAddress(host) || host === 'localhost')) {
    throw badField('url', `${host} is a private address`, 'Set allowPrivateAddresses to true if that is meant.')
  }
  return normalizeRegistryUrl(text)
}

function checkPattern(field: string, pattern: string): void {
  try {
    parseTagPattern(pattern)
  } catch (error) {
    if (error instanceof BadPattern)
      throw badField(
        field,
        `"${pattern}" is not a valid pattern: ${error.message}`,
        'Use *, ?, [a-z] and the characters of tags.',
      )
    throw error
  }
}
