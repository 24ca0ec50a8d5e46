import { isNeverAsked, isPrivateAddress, normalizeRegistryUrl } from '@berth/registry-client'
import { badField } from '@berth/service'

/** Checks an address that Berth will ask: http or https, without credentials, and private only where that is allowed. */
export function checkAddress(field: string, text: string, allowPrivate: boolean, secretsGo: string): URL {
  if (!text.includes('://')) refuseBare(field, text, secretsGo)
  if (!URL.canParse(text)) throw badField(field, 'is not a URL', 'Write it as https://registry.example.com.')
  const url = new URL(text)
  if (url.username || url.password) throw badField(field, 'holds credentials', secretsGo)
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw badField(field, `has the scheme "${url.protocol}//"`, 'Use https:// or http://.')
  checkPublic(field, url.hostname, allowPrivate)
  return url
}

/** `registry.example.com:5000` would be read as the scheme `registry.example.com:`. The answer never repeats a login. */
function refuseBare(field: string, text: string, secretsGo: string): void {
  if (!URL.canParse(`https://${text}`)) return
  const { username, password, host } = new URL(`https://${text}`)
  if (username || password) throw badField(field, 'holds credentials', secretsGo)
  throw badField(field, 'has no scheme', `Write it as https://${host}, or with http:// if it speaks no TLS.`)
}

function checkPublic(field: string, hostname: string, allowPrivate: boolean): void {
  const host = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
  if (isNeverAsked(host))
    throw badField(field, `${host} is a link-local or metadata address`, 'Such addresses are never asked; use another.')
  if (allowPrivate) return
  if (isPrivateAddress(host) || host === 'localhost' || host.endsWith('.localhost'))
    throw badField(field, `${host} is a private address`, 'Set allowPrivateAddresses to true if that is meant.')
}

/** Checks where the registry is. Throws 400. */
export function checkRegistryUrl(text: string, allowPrivate: boolean): URL {
  const url = checkAddress('url', text, allowPrivate, 'Send them as username and password, where they are sealed.')
  if ((url.pathname !== '/' && url.pathname !== '') || url.search || url.hash)
    throw badField('url', 'names more than a host', 'Leave the path away and send the repository as upstreamName.')
  return normalizeRegistryUrl(text)
}

/** Checks a list of further hosts, as `host` or `host:port`. Throws 400. */
export function checkHosts(list: string, hosts: readonly string[], allowPrivate: boolean): void {
  hosts.forEach((host, i) => {
    const field = `${list}[${i}]`
    const asUrl = `https://${host}`
    const isHost = /^[A-Za-z0-9.:[\]-]+$/.test(host) && URL.canParse(asUrl)
    if (!isHost || (new URL(asUrl).host !== host.toLowerCase() && !host.endsWith(':443')))
      throw badField(field, `"${host}" is not a host`, 'Write it as auth.example.com or auth.example.com:8443.')
    checkPublic(field, new URL(asUrl).hostname, allowPrivate)
  })
}
