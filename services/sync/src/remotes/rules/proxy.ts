import { badField } from '@berth/service'
import type { RemoteBody } from '../fields.ts'
import { checkAddress } from './url.ts'

/** Checks the proxy of a remote and the login at it. Throws 400. */
export function checkProxy({ proxyUrl, proxyUsername }: RemoteBody, allowPrivate: boolean, hasPassword: boolean): void {
  const hasUser = proxyUsername !== undefined && proxyUsername !== null
  if (!proxyUrl) {
    if (hasUser || hasPassword)
      throw badField('proxyUrl', 'is missing while a login at a proxy is given', 'Send it, or take the login away.')
    return
  }
  const url = checkAddress(
    'proxyUrl',
    proxyUrl,
    allowPrivate,
    'Send them as proxyUsername and proxyPassword, where they are sealed.',
  )
  if ((url.pathname !== '/' && url.pathname !== '') || url.search || url.hash)
    throw badField('proxyUrl', 'names more than a host', 'Write it as http://proxy.example.com:3128.')
  if (proxyUsername?.includes(':')) throw badField('proxyUsername', 'holds a colon', 'No proxy can take such a name.')
  if (hasUser !== hasPassword)
    throw badField(
      hasUser ? 'proxyPassword' : 'proxyUsername',
      `is missing while a ${hasUser ? 'user' : 'password'} of the proxy is given`,
      'Send both, or neither.',
    )
}
