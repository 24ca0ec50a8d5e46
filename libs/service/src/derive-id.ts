import { createHash } from 'node:crypto'

/** An id made of a text, the same for the same one, in the form of a uuid (version 8, RFC 9562 §5.8). */
export function deriveId(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  )
}
