import type { OciError } from '@berth/oci'
import { bodyOf } from '../exchange/early-answer.ts'
import type { NamedExchange } from '../exchange/exchange.ts'

/** Reads a body whole, up to a limit in bytes; throws what `tooLarge` makes as soon as it is known to be longer. */
export async function readBody(
  { request }: Pick<NamedExchange, 'request'>,
  limitBytes: number,
  tooLarge: () => OciError,
): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw tooLarge()
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of bodyOf(request)) {
    size += chunk.length
    if (size > limitBytes) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
