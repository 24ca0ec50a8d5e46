import { catalogEvents, fitLists, nameLimit, recordEvents } from '@berth/bus'
import type { VersionCause } from '@berth/commands'
import type { Sql, Transaction } from '@berth/service'
import { chargeQuota, type QuotaUse } from '../namespaces/quota.ts'
import { changeContentHash } from './content-hash.ts'
import { addCounts, type ContentCounts } from './counts.ts'
import { retainNewest } from './drop-versions.ts'
import type { Edit } from './edit.ts'
import { keepImmutable } from './immutable-tags.ts'
import { endOfRevisions, type LockedRepository } from './repository-lock.ts'
import type { TagChange } from './tag-change.ts'

export type MadeVersion = {
  number: number
  revision: number
  created: boolean
  added: ContentCounts
  removed: ContentCounts
  /** All of them; of a rollback to an old version, as many as its event names. */
  tags: TagChange[]
  /** How far the quota of the namespace is used up then, if it has one. */
  quota?: QuotaUse | undefined
}
export type Making = {
  cause: VersionCause
  actor: string
  taskId: string | null
  base?: number
  /** The hash of the content, where it is known to be that of a version: then nobody has to go through all that changed. */
  contentHash?: string
  /** The first version of the run that this one is a part of. */
  partOf?: number | undefined
}

type Latest = { revision: number; present: ContentCounts; contentHash: string }

/**
 * Makes the version of what the edits changed, with its facts, its events and the repository's new head, which are there
 * once the transaction is committed. When they changed
 * nothing there is no version, and the answer is the latest one. Run it inside `withinQuota` where content may come in.
 */
export async function finishVersion(
  sql: Transaction,
  repository: LockedRepository,
  edit: Edit,
  making: Making,
): Promise<MadeVersion> {
  // Of very many tags most are needed for their hash only; it takes as long as the change itself to hand them over.
  const listsAll = making.contentHash === undefined || repository.immutableTags.length > 0
  const changes = await readChanges(sql, repository, edit, listsAll)
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
  keepImmutable(repository, tags)
  const quota = await chargeQuota(sql, repository, [...manifests.added, ...blobs.added])
  const contentHash = making.contentHash ?? hashAfter(changes)
  const made = { number: edit.number, revision: edit.revision, created: true, added, removed, tags, quota }
  const recorded = [
    sql.prepared(
      'insert-version',
      `insert into version (repository_id, number, base, cause, created_by, task_id, revision, present, added, removed, content_hash, part_of)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
      [
        edit.repositoryId,
        edit.number,
        making.base ?? repository.latestVersion,
        making.cause,
        making.actor,
        making.taskId,
        edit.revision,
        JSON.stringify(addCounts(latest.present, added, removed)),
        JSON.stringify(added),
        JSON.stringify(removed),
        contentHash,
        making.partOf ?? null,
      ],
    ),
    sql.prepared(
      'move-head',
      'update repository set latest_version = $2, revision = $3, loose_since = null where id = $1',
      [edit.repositoryId, edit.number, edit.revision],
    ),
    announce(sql, repository, made, making, { contentHash, movedTags: tagCounts.total }),
  ]
  for (const statement of recorded) sql.later(statement)
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
type Changes = Omit<ChangeRow, 'tags'> & { tags: TagChange[] }

// The version before has this revision; what came since, loose changes too, carries higher ones.
const latestRevision = '(select revision from latest)'

const members = (table: 'manifest_interval' | 'blob_interval' | 'signature_interval', member = 'digest') => `(
  select jsonb_build_object('added', coalesce(jsonb_agg(${member}) filter (where until is null), '[]'),
    'removed', coalesce(jsonb_agg(${member}) filter (where until is not null), '[]'))
  from ${table} where repository_id = $1 and revision > ${latestRevision} and revision <= $4
    and ((since = $2 and until is null) or (until = $2 and since < $2)))`

// The content counts too: a name may be given again once it is free.
const signatureMember = `name || '=' || encode(sha256(convert_to(content, 'UTF8')), 'hex')`

/** `limit`: of the list of tags; the counts tell of all. */
const changesQuery = (limit = '') => `with latest as (
    select revision, present, content_hash as "contentHash" from version where repository_id = $1 and number = $3),
  named as (
    select name as tag, max(digest) filter (where until = $2 and since < $2) as "from", max(digest) filter (where since = $2 and until is null) as "to"
    from tag_interval where repository_id = $1 and revision > ${latestRevision} and revision <= $4 and (until = $2 or since = $2) group by name),
  tags as (select * from named where "from" is distinct from "to")
  select to_jsonb(latest) as latest, ${members('manifest_interval')} as manifests, ${members('blob_interval')} as blobs,
    ${members('signature_interval', signatureMember)} as signatures,
    (select jsonb_build_object('total', count(*), 'added', count("to"), 'removed', count("from")) from tags) as "tagCounts",
    coalesce((select jsonb_agg(listed order by tag) from (select * from tags order by tag ${limit}) as listed), '[]') as tags
  from latest`

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
    manifests: settled(manifests),
    blobs: settled(blobs),
    signatures: settled(signatures),
  }
}

/** What was taken out and put in again by one change has not changed. */
function settled({ added, removed }: Members): Members {
  const [came, went] = [new Set(added), new Set(removed)]
  return { added: added.filter((one) => !went.has(one)), removed: removed.filter((one) => !came.has(one)) }
}

async function announce(
  sql: Sql,
  repository: LockedRepository,
  made: MadeVersion,
  making: Making,
  { contentHash, movedTags }: { contentHash: string; movedTags: number },
): Promise<void> {
  const about = { repositoryId: repository.id, actor: making.actor }
  const named = { repositoryId: repository.id, name: repository.name }
  const { added, removed, number, tags } = made
  const rolledBack = making.cause === 'rollback' && making.base !== undefined
  await recordEvents(sql, [
    {
      ...about,
      kind: catalogEvents.versionCreated,
      data: {
        ...named,
        number,
        revision: made.revision,
        base: making.base ?? repository.latestVersion,
        cause: making.cause,
        taskId: making.taskId,
        added,
        removed,
        contentHash,
      },
    },
    ...(rolledBack
      ? [{ ...about, kind: catalogEvents.versionRolledBack, data: { ...named, number, to: making.base } }]
      : []),
    ...(tags.length > 0
      ? [
          {
            ...about,
            kind: catalogEvents.tagsMoved,
            data: { ...named, version: number, ...fitLists({ tags }), total: movedTags },
          },
        ]
      : []),
  ])
}
