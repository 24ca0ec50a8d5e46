/** `totalBytes`: of the whole object. */
export type ContentRange = { start: number; sizeBytes: number; totalBytes: number }

/** What the head of an answer says that is one range of an object, sent as it is. `staysOpen`: the connection may be used again. */
export type RangeHead = ContentRange & { staysOpen: boolean }

/** Reads such a head, without the empty line at its end. `undefined` for everything else that HTTP has. */
export function parseRangeHead(head: string): RangeHead | undefined {
  const [statusLine = '', ...lines] = head.split('\r\n')
  if (!/^HTTP\/1\.1 206( |$)/.test(statusLine)) return undefined
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [, name, value = ''] = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? []
    if (name === undefined) return undefined
    // One that comes twice becomes a list, and so no length of two is believed.
    const before = headers.get(name.toLowerCase())
    headers.set(name.toLowerCase(), before === undefined ? value : `${before}, ${value}`)
  }
  if (headers.has('transfer-encoding')) return undefined
  const range = parseContentRange(headers.get('content-range'))
  if (!range || headers.get('content-length') !== String(range.sizeBytes)) return undefined
  return { ...range, staysOpen: headers.get('connection')?.toLowerCase() !== 'close' }
}

/** Reads `bytes 0-9/10`. `undefined` when it is none, or one without the size of the whole. */
export function parseContentRange(value: string | undefined): ContentRange | undefined {
  const [, first, last, total] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(value ?? '') ?? []
  if (first === undefined) return undefined
  const [start, end, totalBytes] = [Number(first), Number(last), Number(total)]
  if (start > end || end >= totalBytes) return undefined
  return { start, sizeBytes: end - start + 1, totalBytes }
}
