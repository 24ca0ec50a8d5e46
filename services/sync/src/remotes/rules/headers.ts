import { badField } from '@berth/service'

// RFC 9110 §5.6.2; a value is visible characters, spaces and tabs (§5.5).
const token = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$/
const value = /^[\t\x20-\x7e\x80-\xff]*$/
/** Those that the client sets itself, and those that concern one connection only (RFC 9110 §7.6.1). */
const ours =
  /^(accept(-encoding)?|authorization|connection|content-.*|cookie2?|expect|host|http2-settings|if-.*|keep-alive|proxy-.*|range|te|trailer|transfer-encoding|upgrade)$/i
const instead: Record<string, string> = {
  authorization: 'Send username and password, or token.',
  'proxy-authorization': 'Send proxyUsername and proxyPassword.',
}

/** Checks the extra headers of a remote. Throws 400 that never repeats a value. */
export function checkHeaders(headers: Record<string, string>): void {
  const seen = new Set<string>()
  for (const [name, text] of Object.entries(headers)) {
    const field = `headers.${name}`
    const lower = name.toLowerCase()
    if (!token.test(name))
      throw badField('headers', 'has a name that no header can have', 'Use letters, digits and hyphens, as in X-Team.')
    if (ours.test(name)) throw badField(field, 'is set by Berth itself', instead[lower] ?? 'Leave it away.')
    if (seen.has(lower)) throw badField(field, 'is there twice', 'Names of headers differ in more than their case.')
    if (!value.test(text)) throw badField(field, 'holds a character that no header can hold', 'Use one line of text.')
    seen.add(lower)
  }
}
