/** A challenge of `WWW-Authenticate`: its scheme in lower case, and its parameters. */
export type ParsedChallenge = { scheme: string; parameters: Record<string, string> }

const parameter = /([a-zA-Z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/y

/** Reads the first challenge of a header (RFC 9110 §11.6.1), as registries send it. */
export function parseChallenge(header: string): ParsedChallenge | undefined {
  const scheme = /^\s*([A-Za-z]+)(\s+|$)/.exec(header)
  if (!scheme) return undefined
  const parameters: Record<string, string> = {}
  parameter.lastIndex = scheme[0].length
  for (let found = parameter.exec(header); found; found = parameter.exec(header)) {
    const [, name = '', quoted, plain] = found
    parameters[name.toLowerCase()] = quoted === undefined ? (plain ?? '') : quoted.replaceAll(/\\(.)/g, '$1')
    const gap = /^[\s,]*/.exec(header.slice(parameter.lastIndex))
    parameter.lastIndex += gap?.[0].length ?? 0
  }
  return { scheme: scheme[1]?.toLowerCase() ?? '', parameters }
}
