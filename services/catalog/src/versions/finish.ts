import { nameLimit } from '@berth/bus'
import type { Sql, Transaction } from '@berth/service'
import { type Edit, manifestMember, type Pushed } from '../intervals/edit.ts'
import { endOfRevisions, revisedBetween } from '../intervals/tables.ts'
import { changeContentHash } from './content-hash.ts'
import { addCounts, type ContentCounts } from './counts.ts'
import { retainNewest } from './drop-versions.ts'
import type { LockedRepository } from './locked-repository.ts'
import { type MadeVersion, type Making, recordVersion } from './record-version.ts'
import type { TagChange } from './tag-change.ts'

type Latest = { revision: number; present: ContentCounts; contentHash: string }

/**
 * Makes the version of what the edits changed, with its facts, its events and the repository's new head, which are there
 * once the transaction is committed. When they changed
 * nothing there is no version, and the answer is the latest one. Run it inside `withinQuota` where content may come in. `known` is all
 * that changed since the latest version, where that is known already.
 */
export async function finishVersion(
  sql: Transaction,
  repository: LockedRepository,
  edit: Edit,
  making: Making,
  known?: Changes,
): Promise<MadeVersion> {
  // Of very many tags most are needed for their hash only; it takes as long as the change itself to hand them over.
  const listsAll = making.contentHash === undefined || repository.immutableTags.length > 0
  const changes = known ?? (await readChanges(sql, repository, edit, listsAll))
  const { latest, tags, tagCounts, manifests, blobs, signatures } = changes
  const countsOf = (side: keyof Members): ContentCounts => ({
    tags: tagCounts[side],
    manifests: manifests[side].length,
    blobs: blobs[side].length,
    signatures: signatures[side].length,
  })
  const added = countsOf('added')
  const removed = countsOf('removed')
  if ([...Object.values(added), ...Object.values(removed)].every((changed) => changed === 0))
    return { number: repository.latestVersion, revision: repository.revision, created: false, added, removed, tags: [] }
  const made = await recordVersion(sql, repository, edit, making, {
    added,
    removed,
    tags,
    movedTags: tagCounts.total,
    present: addCounts(latest.present, added, removed),
    incoming: [...manifests.added.map(digestOf), ...blobs.added],
    contentHash: making.contentHash ?? hashAfter(changes),
  })
  if (repository.retainVersions === null) return made
  const after = { ...repository, latestVersion: made.number, revision: made.revision }
  return {
    ...made,
    revision: (await retainNewest(sql, after, repository.retainVersions, making.actor)) ?? made.revision,
  }
}

function hashAfter({ latest, tags, manifests, signatures }: Changes): string {
  const came = tags.flatMap(({ tag, to }) => (to ? [`${tag}=${to}`] : []))
  const went = tags.flatMap(({ tag, from }) => (from ? [`${tag}=${from}`] : []))
  return changeContentHash(
    latest.contentHash,
    [...manifests.added, ...signatures.added, ...came],
    [...manifests.removed, ...signatures.removed, ...went],
  )
}

type Members = { added: string[]; removed: string[] }
type ChangeRow = {
  latest: Latest
  tags: { tag: string; from: string | null; to: string | null }[]
  tagCounts: { total: number; added: number; removed: number }
  manifests: Members
  blobs: Members
  signatures: Members
}
export type Changes = Omit<ChangeRow, 'tags'> & { tags: TagChange[] }

// The version before has this revision; what came since, loose changes too, carries higher ones.
const latestRevision = '(select revision from latest)'

const members = (table: 'manifest_interval' | 'blob_interval' | 'signature_interval', member = 'digest') => `(
  select jsonb_build_object('added', coalesce(jsonb_agg(${member}) filter (where until is null), '[]'),
    'removed', coalesce(jsonb_agg(${member}) filter (where until is not null), '[]'))
  from ${table} where repository_id = $1 and ${revisedBetween(table, latestRevision, '$4')}
    and ((since = $2 and until is null) or (until = $2 and since < $2)))`

const digestOf = (member: string) => member.split('=', 1)[0] ?? member

// The content counts too: a name may be given again once it is free.
const signatureMember = `name || '=' || encode(sha256(convert_to(content, 'UTF8')), 'hex')`

/** `limit`: of the list of tags; the counts tell of all. */
const changesQuery = (limit = '') => `
  with latest as (select revision, present, content_hash as "contentHash" from version where repository_id = $1 and number = $3),
  named as (
    select name as tag, max(digest) filter (where until = $2 and since < $2) as "from",
      max(digest) filter (where since = $2 and until is null) as "to"
    from tag_interval
    where repository_id = $1
      and ${revisedBetween('tag_interval', latestRevision, '$4')}
      and (until = $2 or since = $2)
    group by name),
  tags as (select * from named where "from" is distinct from "to")
  select to_jsonb(latest) as latest, ${members('manifest_interval', manifestMember)} as manifests, ${members('blob_interval')} as blobs,
    ${members('signature_interval', signatureMember)} as signatures,
    (select jsonb_build_object('total', count(*), 'added', count("to"), 'removed', count("from")) from tags) as "tagCounts",
    coalesce((select jsonb_agg(listed order by tag) from (select * from tags order by tag ${limit}) as listed), '[]') as tags
  from latest`

/** What a push changed, of a repository without anything loose. Sent behind the edits, it costs no wait of its own. */
export async function readPushed(sql: Sql, repository: LockedRepository, pushed: Promise<Pushed>): Promise<Changes> {
  const [[latest], { manifests, blobs, tags }] = await Promise.all([
    sql.prepared<Latest>(
      'latest-version',
      `select revision, present, content_hash as "contentHash"
       from version
       where repository_id = $1
         and number = $2`,
      [repository.id, repository.latestVersion],
    ),
    pushed,
  ])
  if (!latest) throw new Error(`repository ${repository.name} lacks its version ${repository.latestVersion}`)
  const moved = tags.filter(({ from }) => from !== undefined).length
  return {
    latest,
    tags,
    tagCounts: { total: tags.length, added: tags.length, removed: moved },
    manifests: { added: manifests, removed: [] },
    blobs: { added: blobs, removed: [] },
    signatures: { added: [], removed: [] },
  }
}

const allChanges = { name: 'version-changes', text: changesQuery() }
const firstChanges = { name: 'first-version-changes', text: changesQuery(`limit ${nameLimit}`) }

/** The latest version's facts, and what the edits opened and closed since. */
async function readChanges(sql: Sql, repository: LockedRepository, edit: Edit, listsAll: boolean): Promise<Changes> {
  const { name, text } = listsAll ? allChanges : firstChanges
  const [row] = await sql.prepared<ChangeRow>(name, text, [
    edit.repositoryId,
    edit.number,
    repository.latestVersion,
    endOfRevisions,
  ])
  if (!row) throw new Error(`repository ${repository.name} lacks its version ${repository.latestVersion}`)
  const tags = row.tags.map(({ tag, from, to }) => ({ tag, ...(from ? { from } : {}), ...(to ? { to } : {}) }))
  const { latest, tagCounts, manifests, blobs, signatures } = row
  return {
    latest,
    tags,
    tagCounts,
    manifests: netOf(manifests),
    blobs: netOf(blobs),
    signatures: netOf(signatures),
  }
}

/** What was taken out and put in again by one change has not changed. */
function netOf({ added, removed }: Members): Members {
  const [came, went] = [new Set(added), new Set(removed)]
  return { added: added.filter((one) => !went.has(one)), removed: removed.filter((one) => !came.has(one)) }
}
