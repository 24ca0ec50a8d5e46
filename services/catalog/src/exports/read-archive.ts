import { createHash, hash } from 'node:crypto'
import type { BlobStore } from '@berth/blobs'
import { algorithmOf, type Digest, hexOf } from '@berth/oci'
import type { Sql } from '@berth/service'
import { exportFault, named } from './fault.ts'
import { type Member, membersFrom, piecesOf } from './members.ts'
import { readAhead } from './read-ahead.ts'

type Deps = { sql: Sql; blobs: BlobStore }

/** What was found wrong while all was read. */
export type Damage = { digest: Digest; generation: number; found: 'missing' | 'rotten' }

const mostDamage = 1_000

/**
 * Reads a whole archive, and compares each member with its digest on the way. What is wrong is noted, and told at its end. Each chunk is lent
 * until the next one.
 */
export async function* readChecked(
  { sql, blobs }: Deps,
  { exportId, archiveBytes }: { exportId: string; archiveBytes: number },
  damage: Damage[],
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const pieces = piecesOf(sql, exportId, archiveBytes, { start: 0, end: archiveBytes - 1 })
  for await (const { piece, small } of readAhead(blobs, pieces)) {
    signal.throwIfAborted()
    if ('bytes' in piece) yield piece.bytes
    else if (small?.bytes) yield checkedSmall(piece.member, small.bytes, damage)
    else yield* readMember(blobs, piece.member, damage, signal)
  }
}

export type CheckedMember = { member: Member; bytes: AsyncGenerator<Buffer> }

/** Members with their bytes, lent as well, for what has them as files. */
export async function* checkedMembers(
  { sql, blobs }: Deps,
  exportId: string,
  damage: Damage[],
  signal: AbortSignal,
): AsyncGenerator<CheckedMember> {
  for await (const member of membersFrom(sql, exportId))
    yield { member, bytes: readMember(blobs, member, damage, signal) }
}

function checkedSmall({ digest, generation }: Member, bytes: Buffer, damage: Damage[]): Buffer {
  if (hash(algorithmOf(digest), bytes, 'hex') !== hexOf(digest)) note(damage, { digest, generation, found: 'rotten' })
  return bytes
}

function note(damage: Damage[], found: Damage): void {
  damage.push(found)
  if (damage.length >= mostDamage) throw damagedContent(damage)
}

async function* readMember(
  blobs: BlobStore,
  { digest, generation, sizeBytes }: Member,
  damage: Damage[],
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  signal.throwIfAborted()
  const open = await blobs.open({ digest, generation })
  // What follows would stand at another place: so nothing that is written counts from here on.
  if (!open) {
    note(damage, { digest, generation, found: 'missing' })
    return
  }
  try {
    const sum = createHash(algorithmOf(digest))
    if (open.sizeBytes !== sizeBytes) {
      note(damage, { digest, generation, found: 'rotten' })
      return
    }
    for await (const chunk of open.lend({ signal })) {
      sum.update(chunk)
      yield chunk
    }
    if (sum.digest('hex') !== hexOf(digest)) note(damage, { digest, generation, found: 'rotten' })
  } finally {
    await open.close()
  }
}

/** The refusal of content that is not what it was: the task tells it. */
export function damagedContent(damage: readonly Damage[]): Error {
  return exportFault(
    'content_damaged',
    `These bytes are missing or rotten in the store: ${named(damage.map(({ digest, found }) => `${digest} (${found})`))}.`,
    'POST /store/repair fetches them again where a remote has them; else push them again, then export again.',
  )
}
