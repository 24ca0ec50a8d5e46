import { badField } from '@berth/service'
import { checkFilters } from '../filters/check-filters.ts'
import type { Held, RemoteBody } from './fields.ts'
import { checkHeaders } from './rules/headers.ts'
import { checkProxy } from './rules/proxy.ts'
import { checkSignatures } from './rules/signatures.ts'
import { checkCertificates } from './rules/tls.ts'
import { checkPlatforms, checkUpstream } from './rules/upstream.ts'
import { checkHosts, checkRegistryUrl } from './rules/url.ts'

/** What the grammar of the API document cannot say. Throws a 400 that names the field and the remedy. */
export function checkRemote(remote: RemoteBody, held: Held): void {
  const allowPrivate = remote.allowPrivateAddresses ?? false
  const url = checkRegistryUrl(remote.url, allowPrivate)
  checkUpstream(remote)
  checkFilters(remote)
  checkPlatforms(remote.platforms ?? [])
  checkLogin(remote, held)
  checkHosts('tokenHosts', remote.tokenHosts ?? [], allowPrivate)
  checkHosts('redirectHosts', remote.redirectHosts ?? [], allowPrivate)
  checkCertificates(remote, url, held)
  checkProxy(remote, allowPrivate, held.has('proxyPassword'))
  if (remote.headers) checkHeaders(remote.headers)
  if (remote.signatures) checkSignatures(remote.signatures, allowPrivate)
}

function checkLogin(remote: RemoteBody, { has }: Held): void {
  const hasUser = remote.username !== undefined && remote.username !== null
  if (hasUser && !has('password'))
    throw badField('password', 'is missing while a username is given', 'Send both, or neither.')
  if (!hasUser && has('password'))
    throw badField('username', 'is missing while a password is given', 'Send both, or neither.')
  // It would end the name where it stands (RFC 7617 §2).
  if (remote.username?.includes(':')) throw badField('username', 'holds a colon', 'No registry can take such a name.')
  if (remote.token && !/^[\x21-\x7e]+$/.test(remote.token))
    throw badField('token', 'holds a character that no header can hold', 'Send it without spaces and line breaks.')
  if (has('token') && hasUser) throw badField('token', 'cannot be combined with a username', 'Send one of the two.')
}
