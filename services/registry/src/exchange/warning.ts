import type { Pointer } from '../model/pointer.ts'
import type { Exchange } from './exchange.ts'

/**
 * What those who pull are told, as the header for it: `299 - "text"` and no date (distribution-spec, "Warnings"). The text is
 * a quoted string (RFC 9110 §5.6.4); what is not ASCII goes out in UTF-8, whose bytes node takes one character each.
 */
export function warningOf({ warning }: Pick<Pointer, 'warning'>): { warning?: string } {
  if (warning === null) return {}
  const quoted = warning.replace(/["\\]/g, '\\$&')
  return { warning: `299 - "${Buffer.from(quoted).toString('latin1')}"` }
}

/** Has a client that pushes told something with the answer, whatever that will be. */
export function warn({ response }: Pick<Exchange, 'response'>, warning: string | undefined): void {
  if (warning === undefined) return
  for (const [name, value] of Object.entries(warningOf({ warning }))) response.setHeader(name, value)
}
