import type { StoredBlob } from '@berth/commands'
import { Problem, sqlState, type Transaction } from '@berth/service'
import { blobsHealed } from './healed.ts'

/**
 * Notes that bytes are durable under generations that their writer took for itself, and answers under which they count: where a blob
 * was here already, that is another one. Run it inside `orStale`.
 */
export async function placeBlobs(sql: Transaction, blobs: readonly StoredBlob[]): Promise<StoredBlob[]> {
  const sorted = [...blobs].sort((a, b) => (a.digest < b.digest ? -1 : 1))
  const rows = await sql.prepared<StoredBlob & { healed: boolean }>(
    'place-blobs',
    `select given.digest, placed.generation, placed.size_bytes as "sizeBytes", placed.healed
     from unnest($1::text[], $2::bigint[], $3::bigint[]) as given (digest, generation, size_bytes)
     cross join lateral place_blob(given.digest, given.generation, given.size_bytes) as placed`,
    [sorted.map((blob) => blob.digest), sorted.map((blob) => blob.generation), sorted.map((blob) => blob.sizeBytes)],
  )
  if (rows.some(({ healed }) => healed)) sql.afterCommit(blobsHealed)
  return rows.map(({ healed: _told, ...blob }) => blob)
}

/** Does work that places blobs. Throws 503 `stale_lease` for a number that was used before and whose bytes are being removed. */
export async function orStale<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (sqlState(cause) !== 'BR001') throw cause
    throw new Problem(503, 'stale_lease', 'The key of these bytes is being removed; send them again.', {
      headers: { 'retry-after': '0' },
      cause,
    })
  }
}

const mostNumbers = 10_000

/** Numbers of generations for a writer that stores bytes before it tells of them; none is handed out twice. */
export async function takeGenerations(sql: Pick<Transaction, 'prepared'>, count: number): Promise<number[]> {
  const rows = await sql.prepared<{ number: number }>('take-generations', 'select take_generations($1) as number', [
    Math.min(count, mostNumbers),
  ])
  return rows.map(({ number }) => number)
}
