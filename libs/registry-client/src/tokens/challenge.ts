/** A challenge of `WWW-Authenticate`: its scheme in lower case, and its parameters; what Negotiate and NTLM send has none. */
export type ParsedChallenge = { scheme: string; parameters: Record<string, string> }

const gap = /[\s,]*/y
const scheme = /[\w!#$%&'*+.^`|~-]+(?![\w!#$%&'*+.^`|~-]|\s*=)/y
// Unquoted addresses are no tokens (RFC 9110 §5.6.2), but registries send them.
const parameter = /([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/y
const token68 = /[ \t]+[\w.~+/-]+=*(?=\s*(?:,|$))/y
const noise = /[^\s,"]+/y

/**
 * Reads all challenges of a header, also of several headers that were joined by commas (RFC 9110 §11.6.1). Such a comma looks
 * like one between parameters: what is followed by "=" is a parameter, and every other word the scheme of the next challenge.
 */
export function parseChallenges(header: string): ParsedChallenge[] {
  const challenges: ParsedChallenge[] = []
  let at = 0
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at
    const found = pattern.exec(header)
    if (found) at = pattern.lastIndex
    return found
  }
  for (;;) {
    take(gap)
    const current = challenges.at(-1)
    const found = current && take(parameter)
    if (found) {
      const [, name = '', quoted, plain = ''] = found
      current.parameters[name.toLowerCase()] = quoted?.replaceAll(/\\(.)/g, '$1') ?? plain
      continue
    }
    const begun = take(scheme)
    if (begun) {
      challenges.push({ scheme: begun[0].toLowerCase(), parameters: {} })
      take(token68)
    } else if (!take(noise)) {
      // The end, or a quote without an end, behind which nothing can be told apart any more.
      return challenges
    }
  }
}
