import type { Digest } from '@berth/oci'
import { berth, type Database } from '@berth/service'
import { curate } from '../curation/curate.ts'
import { removeManifests, removeTags } from '../intervals/edit.ts'

type PullThrough = { id: string; name: string; maxBytes: number }
type Member = { repositoryId: string; digest: Digest; bytes: number }
/** A change that registry has to hear of, and what went. */
export type Eviction = { repositoryId: string; revision: number; manifests: number }

const batchManifests = 200

/**
 * Takes away what was pulled least lately from below pull-through distributions that hold more than they may. Counted is what
 * is stored of what their repositories have now, each digest once; the bytes themselves go with the next collection.
 */
export async function* evictAll(db: Database, signal: AbortSignal): AsyncIterable<Eviction> {
  const distributions = await db.query<PullThrough>(
    `select id, name, (pull_through ->> 'maxBytes')::bigint as "maxBytes"
     from distribution
     where pull_through ->> 'maxBytes' is not null`,
  )
  for (const distribution of distributions) yield* evict(db, distribution, signal)
}

async function* evict(db: Database, distribution: PullThrough, signal: AbortSignal): AsyncIterable<Eviction> {
  for (
    let held = await heldBytes(db, distribution.id);
    held > distribution.maxBytes;
    held = await heldBytes(db, distribution.id)
  ) {
    const excess = held - distribution.maxBytes
    const going = enough(await leastUsed(db, distribution.id), excess)
    if (going.length === 0) return
    let changed = false
    for (const [repositoryId, members] of Map.groupBy(going, (member) => member.repositoryId)) {
      signal.throwIfAborted()
      const digests = members.map((member) => member.digest)
      const made = await curate(db, { repositoryId, actor: berth, cause: 'remove' }, async (sql, edit) => {
        const tags = await sql.query<{ name: string }>(
          'select name from tag_interval where repository_id = $1 and digest = any($2::text[]) and until is null',
          [repositoryId, digests],
        )
        const names = tags.map((tag) => tag.name)
        await removeTags(sql, edit, names)
        // Indexes that name them stay: their members come when they are pulled.
        await removeManifests(sql, edit, digests)
      })
      if (!made.created) continue
      changed = true
      yield { repositoryId, revision: made.revision, manifests: digests.length }
    }
    if (!changed) return
  }
}

const membersOf = (table: string) => `
  select member.digest
  from ${table} as member
  join distribution as arrived on arrived.repository_id = member.repository_id and arrived.via = $1
  where member.until is null`

async function heldBytes(db: Database, distributionId: string): Promise<number> {
  const [row] = await db.query<{ bytes: number }>(
    `select coalesce(sum(size_bytes), 0)::bigint as bytes from blob
     where state = 'present' and digest in (${membersOf('blob_interval')} union ${membersOf('manifest_interval')})`,
    [distributionId],
  )
  return row?.bytes ?? 0
}

const leastUsedQuery = `
  with used as (
    select member.repository_id, member.digest,
      greatest(
        member.opened_at, pull.pulled_at,
        (
          select max(tag_pull.pulled_at)
          from tag_interval as tag
          join tag_pull on tag_pull.repository_id = tag.repository_id and tag_pull.name = tag.name
          where tag.repository_id = member.repository_id
            and tag.digest = member.digest
            and tag.until is null)) as at
    from manifest_interval as member
    join distribution as arrived on arrived.repository_id = member.repository_id and arrived.via = $1
    left join manifest_pull as pull on pull.repository_id = member.repository_id and pull.digest = member.digest
    where member.until is null
    order by at, member.digest
    limit ${batchManifests})
  select repository_id as "repositoryId", digest,
    (
      select coalesce(sum(size_bytes), 0)::bigint
      from blob
      where state = 'present'
        and (
          blob.digest = used.digest
          or blob.digest in (
            select child
            from manifest_reference
            where manifest = used.digest
              and role in ('config', 'layer')))) as bytes
  from used
  order by at, digest`

/** What was pulled least lately, by tag or by digest, or came then; with the bytes that are stored of it. */
async function leastUsed(db: Database, distributionId: string): Promise<Member[]> {
  return db.query<Member>(leastUsedQuery, [distributionId])
}

/** As many of them, in order, as hold the bytes in excess; what shares its layers frees less, and the next round sees to it. */
function enough(members: readonly Member[], excessBytes: number): Member[] {
  let bytes = 0
  const going: Member[] = []
  for (const member of members) {
    if (bytes >= excessBytes) break
    bytes += member.bytes
    going.push(member)
  }
  return going
}
