const target = /[\s,]*<([^>]*)>/y
const parameter = /\s*;\s*([^\s=;,"<]*)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?/y

/**
 * Where the first link of relation `next` points to, in a `Link` header or several of them joined by commas. Names of parameters and
 * relations are in any case, one link may have several relations, and of several `rel` the first counts (RFC 8288 §3).
 */
export function nextOf(header: string): string | undefined {
  let at = 0
  const read = (pattern: RegExp) => {
    pattern.lastIndex = at
    const found = pattern.exec(header)
    if (found) at = pattern.lastIndex
    return found
  }
  for (let link = read(target); link; link = read(target)) {
    let relations: string | undefined
    for (let one = read(parameter); one; one = read(parameter))
      if (one[1]?.toLowerCase() === 'rel') relations ??= one[2]?.replace(/\\(.)/g, '$1') ?? one[3] ?? ''
    if (relations?.toLowerCase().split(/\s+/).includes('next')) return link[1]
  }
  return undefined
}
