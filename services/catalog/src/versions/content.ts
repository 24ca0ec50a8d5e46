import { type ManifestKind, manifestKinds, parseDigest } from '@berth/oci'
import { badField, pageBytes } from '@berth/service'
import { heldIn } from '../intervals/held.ts'
import { typeOf } from '../intervals/tables.ts'
import { checkPattern } from '../settings/retention-rules.ts'
import { knownVersions } from './known.ts'
import { tagNameCondition } from './tag-name.ts'

export const contentTypes = ['tag', 'manifest', 'blob', 'signature'] as const
export type ContentType = (typeof contentTypes)[number]

/** What a list of content is narrowed to. */
export type ContentFilter = {
  digest?: string
  mediaType?: string
  /** A tag, or a pattern of tags. */
  q?: string
  kind?: ManifestKind
  platform?: { os: string; architecture: string; variant?: string }
  label?: { key: string; value?: string }
}

const served: Record<ContentType, readonly string[]> = {
  tag: ['digest', 'mediaType', 'q', 'kind', 'platform', 'label'],
  manifest: ['digest', 'mediaType', 'kind', 'platform', 'label'],
  blob: ['digest'],
  signature: ['digest'],
}
const filterFields = served.tag

/** Reads the filters of a list of this type. Throws 400 that names the field. */
export function readFilter(type: ContentType, query: Record<string, unknown>): ContentFilter {
  const given = Object.fromEntries(
    filterFields.flatMap((field) => (typeof query[field] === 'string' ? [[field, query[field]]] : [])),
  ) as Record<string, string>
  for (const field of Object.keys(given))
    if (!served[type].includes(field)) throw badField(field, `does not apply to content of type ${type}`)
  const { digest, mediaType, q, kind, platform, label } = given
  if (digest !== undefined && !parseDigest(digest)) throw badField('digest', 'is not a sha256 or sha512 digest')
  if (q !== undefined) checkPattern(q, 'q')
  if (kind !== undefined && !manifestKinds.includes(kind as ManifestKind))
    throw badField('kind', `must be one of ${manifestKinds.join(', ')}`)
  return {
    ...(digest === undefined ? {} : { digest }),
    // A plus sign that was not escaped comes as a space, of which types have none.
    ...(mediaType === undefined ? {} : { mediaType: mediaType.replaceAll(' ', '+') }),
    ...(q === undefined ? {} : { q }),
    ...(kind === undefined ? {} : { kind: kind as ManifestKind }),
    ...(platform === undefined ? {} : { platform: readPlatform(platform) }),
    ...(label === undefined ? {} : { label: readLabel(label) }),
  }
}

function readPlatform(text: string): NonNullable<ContentFilter['platform']> {
  const [os, architecture, variant, ...more] = text.split('/')
  if (!os || !architecture || variant === '' || more.length > 0)
    throw badField('platform', 'must be os/architecture or os/architecture/variant', 'For example linux/arm64/v8.')
  return { os, architecture, ...(variant === undefined ? {} : { variant }) }
}

function readLabel(text: string): NonNullable<ContentFilter['label']> {
  const at = text.indexOf('=')
  const key = at < 0 ? text : text.slice(0, at)
  if (key === '') throw badField('label', 'must be key or key=value')
  return { key, ...(at < 0 ? {} : { value: text.slice(at + 1) }) }
}

const held = (row: string) => heldIn(row, '$1', '$2')

/** A time as everywhere in the API; null stays null. */
const isoTime = (column: string) => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

const shownFacts = ['architecture', 'os', 'variant', 'createdAt', 'labels']
  .map((fact) => `'${fact}', manifest.facts -> '${fact}'`)
  .join(', ')
/** Whether it is an index of which this version lacks a manifest: the platforms that a sync left out, or a sparse push. */
const lacksChild = `manifest.is_index and exists (
    select
    from manifest_reference as child
    where child.manifest = manifest.digest
      and child.role = 'manifest'
      and not exists (select from manifest_interval as held where ${held('held')} and held.digest = child.child))`
const manifestFields = `'mediaType', fitting.media_type, 'artifactType', manifest.artifact_type, 'sizeBytes', manifest.size_bytes,
  'sparse', ${lacksChild}, 'kind', manifest.facts -> 'kind', 'compressedBytes', manifest.facts -> 'compressedBytes', ${shownFacts}`
const times = `'pushedAt', ${isoTime('fitting.opened_at')}, 'pushedBy', pushed.created_by, 'pushedById', pushed.created_by_id,
  'lastPulledAt', ${isoTime('fitting.pulled_at')}`
/** What was pushed without a tag is of no version yet. */
const withPusher = `join manifest using (digest)
  left join lateral ${knownVersions('$1', 'number = fitting.since')} as pushed on true`

/**
 * `key` and what else is needed of each row are taken `from` the intervals; what is large is read for those alone that fit on the
 * page, by what `listed` says of them.
 */
const lists: Record<
  ContentType,
  { key: string; bytes: string; listed: string; from: string; member: string; item: string; source: string }
> = {
  tag: {
    key: 'tag.name',
    bytes: 'manifest.listed_bytes',
    listed: `tag.digest, tag.since, tag.opened_at, pull.pulled_at, ${typeOf('member')} as media_type`,
    item: `json_build_object('name', fitting.key, 'digest', fitting.digest, ${manifestFields}, ${times})`,
    source: withPusher,
    from: `tag_interval as tag join manifest using (digest) left join manifest_interval as member on ${held('member')} and member.digest = tag.digest left join tag_pull as pull on pull.repository_id = $1 and pull.name = tag.name`,
    member: 'tag',
  },
  manifest: {
    key: 'member.digest',
    bytes: 'manifest.listed_bytes',
    listed: `member.digest, member.since, member.opened_at, pull.pulled_at, ${typeOf('member')} as media_type`,
    item: `json_build_object('digest', fitting.digest, ${manifestFields}, 'subject', manifest.subject, 'annotations', manifest.annotations, ${times})`,
    source: withPusher,
    from: `manifest_interval as member join manifest using (digest) left join manifest_pull as pull on pull.repository_id = $1 and pull.digest = member.digest`,
    member: 'member',
  },
  blob: {
    key: 'member.digest',
    bytes: '200',
    listed: 'blob.size_bytes',
    item: `json_build_object('digest', fitting.key, 'sizeBytes', fitting.size_bytes)`,
    source: '',
    from: 'blob_interval as member join blob using (digest)',
    member: 'member',
  },
  signature: {
    key: 'signature.name',
    bytes: '400 + octet_length(signature.content)',
    listed: 'signature.digest, signature.content',
    item: `json_build_object('name', fitting.key, 'digest', fitting.digest, 'type', 'atomic', 'content', fitting.content)`,
    source: '',
    from: 'signature_interval as signature',
    member: 'signature',
  },
}

export type ContentPage = { repositoryId: string; version: number; after: string; rows: number }

/**
 * The query for a page of what a version holds, in the order of its keys, which is that of their bytes. Each row says too how many
 * there were before those went that do not fit into the bytes of a page.
 */
export function contentQuery(
  type: ContentType,
  page: ContentPage,
  filter: ContentFilter,
): { text: string; values: unknown[] } {
  const { key, bytes, listed, item, source, from, member } = lists[type]
  const values: unknown[] = [page.repositoryId, page.version, page.after, page.rows, pageBytes]
  const conditions = [held(member), `${key} > $3`, ...filterConditions(member, filter, values)]
  const text = `with listed as (
      select ${key} as key, ${bytes} as bytes, ${listed}
      from ${from}
      where ${conditions.join(' and ')}
      order by ${key}
      limit $4),
    summed as (
      select *, sum(bytes) over (order by key) as so_far, row_number() over (order by key) as place, count(*) over () as found
      from listed),
    fitting as (select * from summed where place = 1 or so_far <= $5)
    select fitting.key, ${item} as item, fitting.found
    from fitting ${source}
    order by fitting.key`
  return { text, values }
}

function filterConditions(member: string, filter: ContentFilter, values: unknown[]): string[] {
  const place = (value: unknown) => `$${values.push(value)}`
  const { digest, mediaType, q, kind, platform, label } = filter
  return [
    ...(digest === undefined ? [] : [`${member}.digest = ${place(digest)}`]),
    ...(mediaType === undefined ? [] : [`${typeOf('member')} = ${place(mediaType)}`]),
    ...(q === undefined ? [] : [tagNameCondition('tag.name', q, place)]),
    ...(kind === undefined ? [] : [`manifest.facts ->> 'kind' = ${place(kind)}`]),
    ...(platform === undefined ? [] : [platformCondition(place(JSON.stringify(platform)))]),
    ...(label === undefined ? [] : [labelCondition(label, place)]),
  ]
}

/** An index is of every platform that it says of its manifests. */
function platformCondition(platform: string): string {
  return `(manifest.facts @> ${platform}::jsonb or exists (select from manifest_reference as child
    where child.manifest = manifest.digest and child.role = 'manifest' and child.platform @> ${platform}::jsonb))`
}

function labelCondition(
  { key, value }: NonNullable<ContentFilter['label']>,
  place: (value: unknown) => string,
): string {
  const sources = [`manifest.facts -> 'labels'`, 'manifest.annotations']
  const name = place(key)
  if (value === undefined) return `(${sources.map((source) => `${source} ? ${name}`).join(' or ')})`
  const wanted = place(value)
  return `(${sources.map((source) => `${source} ->> ${name} = ${wanted}`).join(' or ')})`
}
