import type { Readable } from 'node:stream'
import { type CommandClient, type SyncCommands, storedGeneration } from '@berth/commands'
import type { ByteRange, Digest } from '@berth/oci'
import type { Exchange } from '../exchange/exchange.ts'

/** Bytes that are not in the store: they come now, or are there by now under a generation. */
export type Arrival = { kind: 'coming'; body: Readable } | { kind: 'stored'; generation: number }

/**
 * Has sync bring a blob, or a range of it, from the remote that it was seen at. The caller must have made sure that the
 * caller may have it: sync knows digests only. The body breaks off when the bytes are wrong. Throws what sync says when no
 * remote gives it.
 */
export async function awaitRemote(
  sync: CommandClient<SyncCommands>,
  wanted: { digest: Digest; sizeBytes: number; range: ByteRange | undefined },
  { signal, requestId }: Pick<Exchange, 'signal' | 'requestId'>,
): Promise<Arrival> {
  const { range, ...blob } = wanted
  const { headers, body } = await sync.bytes(
    'fetch-blob',
    { ...blob, ...(range ? { range } : {}) },
    { signal, requestId },
  )
  const generation = headers[storedGeneration]
  if (typeof generation !== 'string') return { kind: 'coming', body }
  body.resume()
  return { kind: 'stored', generation: Number(generation) }
}
