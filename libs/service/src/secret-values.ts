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
// Whole runs, of which each character is looked at once: a pattern of the token alone would begin anew at each `eyJ` of a hostile text.
const runs = /[A-Za-z0-9_.-]+/g
const privateKeys = /-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,20}PRIVATE KEY-----|$)/g

/** A text without the secrets that were noted, and those that are told by their form. */
export function withoutSecrets(text: string): string {
  let plain = (text.includes('eyJ') ? text.replace(runs, withoutTokens) : text)
    .replace(ownSecrets, '[redacted]')
    .replace(privateKeys, '[redacted]')
  for (const secret of values.keys()) if (plain.includes(secret)) plain = plain.replaceAll(secret, '[redacted]')
  return plain
}

const leastOfToken = 8

/** A run of parts with dots between, without the tokens in it: three parts, of which the first begins a JSON object. */
function withoutTokens(run: string): string {
  if (!run.includes('eyJ')) return run
  const parts = run.split('.')
  const kept: string[] = []
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] ?? ''
    const at = part.indexOf('eyJ')
    const isToken =
      at >= 0 && part.length - at >= 'eyJ'.length + leastOfToken && (parts[i + 1] ?? '').length >= leastOfToken
    if (isToken && i + 2 < parts.length) {
      kept.push(`${part.slice(0, at)}[redacted]`)
      i += 2
    } else kept.push(part)
  }
  return kept.join('.')
}
