import { unescape } from 'node:querystring'

// Fewer characters may be part of any word, which would then be missing from lines that have nothing to do with the secret.
const leastCharacters = 8
// Those of settings, and of the remotes that were used last: each line is searched for all of them.
const mostValues = 256

const values = new Map<string, true>()

/** Notes a secret so that no line of the log repeats it, whatever it is part of there. Of very many those noted last are kept. */
export function noteSecret(secret: string): void {
  for (const form of new Set([secret, encodeURIComponent(secret.toWellFormed())])) {
    if (form.length < leastCharacters) continue
    values.delete(form)
    values.set(form, true)
  }
  for (const oldest of values.keys()) {
    if (values.size <= mostValues) break
    values.delete(oldest)
  }
}

/** Notes what is secret of a setting: of a URL its password, else all of it. */
export function noteSecretSetting(value: string): void {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(value) || !URL.canParse(value)) return noteSecret(value)
  const { password } = new URL(value)
  noteSecret(password)
  // As a server of databases is told it. Leaves alone what is no good escape.
  noteSecret(unescape(password))
}

// Secrets that are told by their form: those that Berth gives out, tokens (JWS), private keys.
const ownSecrets = /br[bpst]_[A-Za-z0-9_-]{20,}/g
const signedTokens = /eyJ[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{0,8192}/g
const privateKeys =
  /-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[\s\S]{0,10000}?(?:-----END [A-Z ]{0,20}PRIVATE KEY-----|$)/g

/** A text without the secrets that were noted, and those that are told by their form. */
export function withoutSecrets(text: string): string {
  let plain = text
    .replace(ownSecrets, '[redacted]')
    .replace(signedTokens, '[redacted]')
    .replace(privateKeys, '[redacted]')
  for (const secret of values.keys()) if (plain.includes(secret)) plain = plain.replaceAll(secret, '[redacted]')
  return plain
}
