import type { KeyObject } from 'node:crypto'
import { sign } from 'node:crypto'
import type { BlobStore } from '@berth/blobs'
import type { Database } from '@berth/service'
import {
  type ChartImages,
  type ExportedDistribution,
  type ExportedRepository,
  formatVersion,
  type VersionFact,
  writeIndex,
} from '../archives/document.ts'
import { indexName, layoutBytes, layoutName, listName, ociIndexName, signatureName } from '../archives/member-names.ts'
import { storeIdentity } from '../cleaner/claim-store.ts'
import { chartImagesOf } from './chart-images.ts'
import type { Export, Selected } from './export-row.ts'
import { exportFault, named } from './fault.ts'
import { type StoredDocument, storeDocument } from './store-document.ts'
import { type Listed, writeList } from './write-list.ts'
import { writeOciIndex } from './write-oci-index.ts'

type Note = (message: string, more?: { level: 'warn' }) => void
type Deps = { db: Database; blobs: BlobStore; signingKey: KeyObject | undefined }

/** Stores all that an archive has before its blobs, and answers it in the order in which it stands there. */
export async function writeDocuments(
  deps: Deps,
  wanted: Pick<Export, 'id' | 'isSigned' | 'withDistributions' | 'withChartImages'>,
  repositories: readonly Selected[],
  { signal, note }: { signal: AbortSignal; note: Note },
): Promise<{ documents: StoredDocument[]; index: StoredDocument; blobs: { count: number; bytes: number } }> {
  const { db, signingKey } = deps
  // Before there are documents: all that is noted by now lies under `blobs/`.
  const blobs = await countMembers(db, wanted.id)
  const store = (name: string, source: AsyncIterable<Uint8Array>) =>
    storeDocument(deps, wanted.id, name, source, signal)
  const lists: StoredDocument[] = []
  const exported: ExportedRepository[] = []
  for (const [at, repository] of repositories.entries()) {
    const listed: Listed = { lines: 0, manifests: 0, blobs: 0, tags: 0, signatures: 0 }
    const list = await store(listName(at + 1), writeList(db, repository, listed))
    lists.push(list)
    exported.push(await describe(db, repository, list, listed))
  }
  const ociIndex = await store(ociIndexName, writeOciIndex(db, repositories))
  await requireVersions(db, repositories)
  const chartImages = wanted.withChartImages ? await readCharts(deps, repositories, { signal, note }) : undefined
  const bytes = writeIndex({
    formatVersion,
    origin: await storeIdentity(db),
    blobs,
    ociIndex: { digest: ociIndex.digest, size: ociIndex.sizeBytes },
    repositories: exported,
    ...(wanted.withDistributions ? { distributions: await distributionsOf(db, repositories) } : {}),
    ...(chartImages ? { chartImages } : {}),
  })
  const layout = await store(layoutName, once(layoutBytes))
  const index = await store(indexName, once(bytes))
  const signature = wanted.isSigned ? [await store(signatureName, once(sign(null, bytes, keyOf(signingKey))))] : []
  return { documents: [layout, index, ...signature, ...lists, ociIndex], index, blobs }
}

function keyOf(key: KeyObject | undefined): KeyObject {
  if (key) return key
  throw exportFault('no_signing_key', 'There is no key to sign with any more.', 'Set BERTH_EXPORT_SIGNING_KEY.')
}

async function readCharts(
  deps: Deps,
  repositories: readonly Selected[],
  { signal, note }: { signal: AbortSignal; note: Note },
): Promise<ChartImages[]> {
  const onUnread = (chart: string) => note(`${chart} cannot be read as a chart`, { level: 'warn' })
  const charts = await chartImagesOf(deps, repositories, { signal, onUnread })
  const images = charts.flatMap((chart) => chart.images)
  const lacking = images.filter(({ isCarried }) => !isCarried).map(({ reference }) => reference)
  note(`${charts.length} charts name ${images.length} images`)
  if (lacking.length > 0) note(`these of them are not carried: ${named(lacking)}`, { level: 'warn' })
  return charts
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

async function countMembers(db: Database, exportId: string): Promise<{ count: number; bytes: number }> {
  const [row] = await db.query<{ count: number; bytes: number }>(
    `select count(*) as count, coalesce(sum(size_bytes), 0)::bigint as bytes
     from export_member
     where export_id = $1`,
    [exportId],
  )
  return { count: Number(row?.count), bytes: Number(row?.bytes) }
}

type Described = Pick<ExportedRepository, 'description' | 'labels' | 'immutableTags'>

async function describe(
  db: Database,
  { id, name, number, since, sinceHash, facts }: Selected,
  list: StoredDocument,
  { lines, tags, manifests, blobs, signatures }: Listed,
): Promise<ExportedRepository> {
  const [settings] = await db.query<Described>(
    `select description, labels, immutable_tags as "immutableTags" from repository where id = $1`,
    [id],
  )
  const known = await db.query<Omit<VersionFact, 'createdAt'> & { createdAt: Date }>(
    `select number, content_hash as "contentHash", cause, created_at as "createdAt"
     from version
     where repository_id = $1
       and number = any($2::integer[])
     order by number`,
    [id, [number, ...facts]],
  )
  const versions = known.map(({ createdAt, ...fact }) => ({ ...fact, createdAt: createdAt.toISOString() }))
  const version = versions.find((one) => one.number === number)
  if (!settings || !version) throw versionGone([name])
  const { description, labels, immutableTags } = settings
  return {
    name,
    id,
    description,
    labels: Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))),
    immutableTags,
    version: { ...version, counts: { tags, manifests, blobs, signatures } },
    ...(since === null || sinceHash === null ? {} : { since: { number: since, contentHash: sinceHash } }),
    facts: versions.filter((one) => one.number !== number),
    contents: { member: list.name, digest: list.digest, size: list.sizeBytes, lines },
  }
}

/** Rows of a version that was deleted meanwhile are of no version any more: what was read of them says nothing. */
async function requireVersions(db: Database, repositories: readonly Selected[]): Promise<void> {
  const gone = await db.query<{ name: string }>(
    `select wanted.name
     from unnest($1::uuid[], $2::text[], $3::integer[], $4::integer[]) as wanted (id, name, number, since)
     where not exists (select from version where repository_id = wanted.id and version.number = wanted.number)
       or wanted.since is not null
         and not exists (select from version where repository_id = wanted.id and version.number = wanted.since)
     order by wanted.name
     limit 100`,
    [
      repositories.map(({ id }) => id),
      repositories.map(({ name }) => name),
      repositories.map(({ number }) => number),
      repositories.map(({ since }) => since),
    ],
  )
  if (gone.length > 0) throw versionGone(gone.map(({ name }) => name))
}

function versionGone(names: readonly string[]) {
  return exportFault(
    'version_gone',
    `What was to be exported was deleted meanwhile, or the base of its delta: ${names.slice(0, 20).join(', ')}.`,
    'Export a version that is there.',
  )
}

async function distributionsOf(db: Database, repositories: readonly Selected[]): Promise<ExportedDistribution[]> {
  type Row = Omit<ExportedDistribution, 'version' | 'warning'> & { version: number | null; warning: string | null }
  const rows = await db.query<Row>(
    `select distribution.name, base_path as "basePath", repository.name as repository, version, access, redirect,
       convert_to_schema1 as "convertToSchema1", warning
     from distribution
     join repository on repository.id = repository_id
     where repository_id = any($1::uuid[])
       and via is null
     order by base_path`,
    [repositories.map(({ id }) => id)],
  )
  return rows.map(({ name, basePath, repository, version, access, redirect, convertToSchema1, warning }) => ({
    name,
    basePath,
    repository,
    ...(version === null ? {} : { version }),
    access,
    redirect,
    convertToSchema1,
    ...(warning === null ? {} : { warning }),
  }))
}
