import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { PassThrough, type Readable } from 'node:stream'
import { type BlobStore, BlobTooLarge, PartInterrupted } from '@berth/blobs'
import type { CatalogCommands, CommandClient, StoredBlob } from '@berth/commands'
import { asDigest } from '@berth/oci'
import { badField, type Logger, Problem } from '@berth/service'
import { checkContext } from '../context/check-context.ts'

type Catalog = CommandClient<CatalogCommands>

/** How long what a build holds stays without its being renewed. */
export const leaseSeconds = 3_600

/** The holder of a build's leases. */
export function holderOf(buildId: string): string {
  return `build:${buildId}`
}

/**
 * Gives back what a build holds; its context and what else nobody wants but it is removed at once. When this is not heard the leases run
 * out by themselves, and the collector does the rest.
 */
export async function letGo({ catalog, log }: { catalog: Catalog; log: Logger }, buildId: string): Promise<void> {
  try {
    await catalog.call('release-leases', { holder: holderOf(buildId), discard: true })
  } catch (error) {
    log.warn('leases are left to run out', { buildId, error })
  }
}

type Limits = { bytes: number; unpackedBytes: number; files: number }

/** Streams a context into the blob store, checked as it comes, under a lease of the build; what breaks off leaves nothing. */
export async function keepContext(
  { catalog, blobs }: { catalog: Catalog; blobs: BlobStore },
  { buildId, limits }: { buildId: string; limits: Limits },
  context: Readable,
  signal: AbortSignal,
): Promise<StoredBlob> {
  const part = randomUUID()
  try {
    const checked = checkedWhole(context, { bytes: limits.unpackedBytes, files: limits.files })
    const staged = await blobs.writePart(part, 0, checked, { signal, limitBytes: limits.bytes })
    const digest = asDigest(`sha256:${staged.sha256}`)
    const request = { holder: holderOf(buildId), digests: [digest], ttlSeconds: leaseSeconds }
    const [lease] = (await catalog.call('lease-blobs', request, { signal })).blobs
    if (!lease) throw new Error(`catalog gave no lease of ${digest}`)
    const stored = { digest, generation: lease.generation, sizeBytes: staged.sizeBytes }
    if (lease.state === 'present') return stored
    await blobs.publish([staged], stored, { signal })
    await catalog.call('record-blobs', { holder: request.holder, blobs: [stored] }, { signal })
    return stored
  } catch (error) {
    throw explained(error, limits.bytes)
  } finally {
    await blobs.discardParts([part])
  }
}

/** The bytes of a context as they came, which break off as soon as they are no good one. */
async function* checkedWhole(context: Readable, limits: Parameters<typeof checkContext>[1]): AsyncGenerator<Buffer> {
  const copy = new PassThrough()
  let bytes = 0
  const checking = checkContext(copy, limits)
  let failure: unknown
  // A checker that has seen enough reads no more, and must not be waited for.
  const checked = checking.then(
    () => copy.resume(),
    (error: unknown) => {
      failure = error
      copy.destroy()
    },
  )
  try {
    for await (const chunk of context as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (failure === undefined && !copy.write(chunk)) await Promise.race([once(copy, 'drain'), checked])
      if (failure !== undefined) throw failure
      yield chunk
    }
    if (bytes === 0) throw badField('context', 'is empty', 'Leave the field away to build without a context.')
    copy.end()
    await checked
    if (failure !== undefined) throw failure
  } finally {
    copy.destroy()
  }
}

function explained(error: unknown, limitBytes: number): unknown {
  const cause = error instanceof PartInterrupted ? error.cause : error
  if (cause instanceof BlobTooLarge)
    return new Problem(413, 'context_too_large', `The context has more than ${limitBytes} bytes.`, {
      field: 'context',
      hint: 'Leave out what the build does not need (.dockerignore), or ask for a higher BERTH_BUILD_CONTEXT_BYTES.',
    })
  return cause
}
