import type { Digest } from '@berth/oci'
import type { Sql } from '@berth/service'
import { heldIn } from '../intervals/held.ts'
import type { TagChange } from './tag-change.ts'

type Sized = { digest: Digest; sizeBytes: number }
type Members = { added: Sized[]; removed: Sized[] }

/** What is different in a version from another. The lists are cut at a limit; the counts are not. */
export type VersionDiff = {
  from: number
  to: number
  counts: {
    tags: { added: number; removed: number; moved: number }
    manifests: { added: number; removed: number }
    blobs: { added: number; removed: number }
    signatures: { added: number; removed: number }
  }
  bytes: { added: number; removed: number }
  tags: TagChange[]
  manifests: { added: Digest[]; removed: Digest[] }
  blobs: { added: Digest[]; removed: Digest[] }
  signatures: { added: string[]; removed: string[] }
  /** Whether the lists hold all that the counts tell of. */
  complete: boolean
}

const at = (table: string, version: string) =>
  `select * from ${table} as member where ${heldIn('member', '$1', version)}`

const tagsQuery = `
  select name as tag, old.digest as "from", new.digest as "to"
  from (${at('tag_interval', '$2')}) as old
  full join (${at('tag_interval', '$3')}) as new using (name)
  where old.digest is distinct from new.digest
  order by name`

const membersQuery = (table: string, sizes: string) => `
  select digest, sizes.size_bytes as "sizeBytes", old.digest is null as added
  from (${at(table, '$2')}) as old
  full join (${at(table, '$3')}) as new using (digest)
  join ${sizes} as sizes using (digest)
  where old.digest is null or new.digest is null
  order by digest`

const signaturesQuery = `
  select name, old.digest is null as added
  from (${at('signature_interval', '$2')}) as old
  full join (${at('signature_interval', '$3')}) as new using (name, content)
  where old.digest is null or new.digest is null
  order by name`

/** Compares two versions of a repository; a version to come may be one of them, inside the transaction that makes it. */
export async function diffVersions(
  sql: Sql,
  request: { repositoryId: string; from: number; to: number; limit: number },
): Promise<VersionDiff> {
  const { from, to, limit } = request
  const values = [request.repositoryId, from, to]
  const [rows, manifests, blobs, signatures] = await Promise.all([
    sql.query<{ tag: string; from: string | null; to: string | null }>(tagsQuery, values),
    members(sql, membersQuery('manifest_interval', 'manifest'), values),
    members(sql, membersQuery('blob_interval', 'blob'), values),
    sql.query<{ name: string; added: boolean }>(signaturesQuery, values),
  ])
  const tags = rows.map(({ tag, from: old, to: now }) => ({
    tag,
    ...(old ? { from: old } : {}),
    ...(now ? { to: now } : {}),
  }))
  const moved = tags.filter((tag) => tag.from && tag.to).length
  return {
    from,
    to,
    counts: {
      tags: {
        added: tags.filter((tag) => !tag.from).length,
        removed: tags.filter((tag) => !tag.to).length,
        moved,
      },
      manifests: countOf(manifests),
      blobs: countOf(blobs),
      signatures: countOf(bySide(signatures)),
    },
    bytes: { added: bytesOf(manifests.added, blobs.added), removed: bytesOf(manifests.removed, blobs.removed) },
    tags: tags.slice(0, limit),
    manifests: digestsOf(manifests, limit),
    blobs: digestsOf(blobs, limit),
    signatures: {
      added: bySide(signatures)
        .added.map(({ name }) => name)
        .slice(0, limit),
      removed: bySide(signatures)
        .removed.map(({ name }) => name)
        .slice(0, limit),
    },
    complete: [tags, signatures, ...Object.values(manifests), ...Object.values(blobs)].every(
      (list) => list.length <= limit,
    ),
  }
}

async function members(sql: Sql, query: string, values: readonly unknown[]): Promise<Members> {
  const rows = await sql.query<Sized & { added: boolean }>(query, values)
  return bySide(rows)
}

function bySide<Row extends { added: boolean }>(rows: readonly Row[]): { added: Row[]; removed: Row[] } {
  return { added: rows.filter((row) => row.added), removed: rows.filter((row) => !row.added) }
}

function countOf({ added, removed }: { added: readonly unknown[]; removed: readonly unknown[] }): {
  added: number
  removed: number
} {
  return { added: added.length, removed: removed.length }
}

function bytesOf(...lists: Sized[][]): number {
  return lists.flat().reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
}

function digestsOf({ added, removed }: Members, limit: number): { added: Digest[]; removed: Digest[] } {
  const first = (list: Sized[]) => list.slice(0, limit).map(({ digest }) => digest)
  return { added: first(added), removed: first(removed) }
}
