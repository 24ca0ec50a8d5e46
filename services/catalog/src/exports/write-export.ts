import { createHash } from 'node:crypto'
import type { BlobStore } from '@berth/blobs'
import { asDigest, type Digest } from '@berth/oci'
import type { Sql } from '@berth/service'
import type { Export, ExportPart } from './export-row.ts'
import { isSmall, smallAtOnce } from './read-ahead.ts'
import { type CheckedMember, checkedMembers, type Damage, damagedContent, readChecked } from './read-archive.ts'
import { archiveName, checksumLines, checksumsName, formOf, partName, type Target } from './target.ts'

type Deps = { sql: Sql; blobs: BlobStore }
type Wanted = Pick<Export, 'id' | 'path' | 'chunkBytes'>
export type Written = { archiveDigest: Digest | null; parts: ExportPart[] }

type Hooks = { signal: AbortSignal; damage: Damage[]; onBytes: (count: number) => void }

/**
 * Reads all that an export has once: what has rotten is found before it is carried away, digests of the archive and its parts are taken, and
 * where there is a target it is written. Throws when something was damaged, and names it.
 */
export async function writeExport(
  deps: Deps,
  wanted: Wanted,
  archiveBytes: number,
  target: Target | undefined,
  hooks: Hooks,
): Promise<Written> {
  const written =
    formOf(wanted) === 'layout'
      ? await writeLayout(deps, wanted, target, hooks)
      : await writeArchive(deps, wanted, archiveBytes, target, hooks)
  if (hooks.damage.length > 0) throw damagedContent(hooks.damage)
  return written
}

async function writeLayout(
  { sql, blobs }: Deps,
  { id }: Wanted,
  target: Target | undefined,
  { signal, damage, onBytes }: Hooks,
): Promise<Written> {
  const write = async ({ member, bytes }: CheckedMember) => {
    const source = counted(bytes, onBytes)
    await (target ? target.write(member.name, source, member.sizeBytes) : drain(source))
  }
  // Each file is flushed, and small ones take longer for that than for their bytes. What tells of blobs comes alone and in its order.
  let small: CheckedMember[] = []
  const flush = async () => {
    const some = small
    small = []
    // All have to end before anything is removed because one has failed.
    for (const outcome of await Promise.allSettled(some.map(write)))
      if (outcome.status === 'rejected') throw outcome.reason
  }
  for await (const one of checkedMembers({ sql, blobs }, id, damage, signal)) {
    if (!isSmall(one.member) || !one.member.name.startsWith('blobs/')) await write(one)
    else if (small.push(one) >= smallAtOnce) await flush()
  }
  await flush()
  return { archiveDigest: null, parts: [] }
}

async function writeArchive(
  deps: Deps,
  { id, path, chunkBytes }: Wanted,
  archiveBytes: number,
  target: Target | undefined,
  { signal, damage, onBytes }: Hooks,
): Promise<Written> {
  const whole = createHash('sha256')
  const bytes = cutter(counted(readChecked(deps, { exportId: id, archiveBytes }, damage, signal), onBytes))
  const name = archiveName({ id, path })
  const parts: ExportPart[] = []
  const sizes = partSizes(archiveBytes, chunkBytes)
  try {
    for (const [number, sizeBytes] of sizes.entries()) {
      const own = chunkBytes === null ? undefined : createHash('sha256')
      const source = hashed(bytes.take(sizeBytes), own ? [whole, own] : [whole])
      const file = chunkBytes === null ? name : partName(name, number)
      await (target ? target.write(file, source, sizeBytes) : drain(source))
      if (own) parts.push({ bytes: sizeBytes, digest: asDigest(`sha256:${own.digest('hex')}`) })
    }
    // Its end is behind the last part: what was found is complete then.
    await drain(bytes.take(Number.POSITIVE_INFINITY))
  } finally {
    await bytes.end()
  }
  if (target && chunkBytes !== null && damage.length === 0) {
    const sums = Buffer.from(checksumLines(parts.map(({ digest }, i) => ({ name: partName(name, i), digest }))))
    await target.write(checksumsName, once(sums), sums.length)
  }
  return { archiveDigest: asDigest(`sha256:${whole.digest('hex')}`), parts }
}

/** The sizes of the parts of an archive; one where it is not cut. */
function partSizes(archiveBytes: number, chunkBytes: number | null): number[] {
  if (chunkBytes === null) return [archiveBytes]
  const count = Math.ceil(archiveBytes / chunkBytes)
  return Array.from({ length: count }, (_, at) => Math.min(chunkBytes, archiveBytes - at * chunkBytes))
}

async function* counted(source: AsyncIterable<Buffer>, onBytes: (count: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    onBytes(chunk.length)
    yield chunk
  }
}

async function* hashed(
  source: AsyncIterable<Buffer>,
  hashes: readonly { update(bytes: Buffer): unknown }[],
): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    for (const hash of hashes) hash.update(chunk)
    yield chunk
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

async function drain(source: AsyncIterable<unknown>): Promise<void> {
  const chunks = source[Symbol.asyncIterator]()
  while (!(await chunks.next()).done);
}

/** A source from which piece after piece is taken. */
function cutter(source: AsyncIterable<Buffer>): {
  take(count: number): AsyncGenerator<Buffer>
  end(): Promise<void>
} {
  const chunks = source[Symbol.asyncIterator]()
  let held: Buffer | undefined
  return {
    async *take(count) {
      for (let left = count; left > 0; ) {
        if (!held?.length) {
          const next = await chunks.next()
          if (next.done) return
          held = next.value
        }
        const taken = held.subarray(0, left)
        held = held.subarray(taken.length)
        left -= taken.length
        yield taken
      }
    },
    end: async () => void (await chunks.return?.()),
  }
}
