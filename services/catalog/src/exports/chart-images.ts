import type { BlobStore } from '@berth/blobs'
import type { Digest } from '@berth/oci'
import { parseDigest } from '@berth/oci'
import type { Database } from '@berth/service'
import type { ChartImages } from '../archives/document.ts'
import { imagesOfValues } from '../charts/images-of-values.ts'
import { unpackChart } from '../charts/unpack-chart.ts'
import { heldIn } from '../intervals/held.ts'
import type { Selected } from './export-row.ts'

type Chart = { chart: Digest; layer: Digest; generation: number; sizeBytes: number }
type Named = { repository: string; chart: Digest; images: string[] }
type Candidate = { image: string; id: string; number: number; tag: string | null; digest: string | null }

const pageRows = 100
// As many as a reader takes.
const mostCharts = 10_000
const mostChartBytes = 8 << 20

const charts = `
  select member.digest as chart, layer.child as layer, blob.generation, blob.size_bytes as "sizeBytes"
  from manifest_interval as member
  join manifest_reference as config
    on config.manifest = member.digest
    and config.role = 'config'
    and config.media_type = 'application/vnd.cncf.helm.config.v1+json'
  join manifest_reference as layer
    on layer.manifest = member.digest
    and layer.role = 'layer'
    and layer.media_type = 'application/vnd.cncf.helm.chart.content.v1.tar+gzip'
  join blob on blob.digest = layer.child and blob.state = 'present'
  where ${heldIn('member', '$1', '$2')}
    and member.digest > $3
    and blob.size_bytes <= ${mostChartBytes}
  order by member.digest
  limit ${pageRows}`

/** What the values of all charts of an export name as images, and whether it carries them, under whatever host they are named. */
export async function chartImagesOf(
  { db, blobs }: { db: Database; blobs: BlobStore },
  repositories: readonly Selected[],
  { signal, onUnread }: { signal: AbortSignal; onUnread: (chart: Digest) => void },
): Promise<ChartImages[]> {
  const named: Named[] = []
  for (const repository of repositories)
    for await (const chart of chartsOf(db, repository)) {
      signal.throwIfAborted()
      if (named.length === mostCharts) break
      const images = await imagesOf(blobs, chart, signal)
      if (images === undefined) onUnread(chart.chart)
      else if (images.length > 0) named.push({ repository: repository.name, chart: chart.chart, images })
    }
  const carried = await carriedOf(db, repositories, new Set(named.flatMap(({ images }) => images)))
  return named.map(({ images, ...chart }) => ({
    ...chart,
    images: images.map((reference) => ({ reference, isCarried: carried.has(reference) })),
  }))
}

async function* chartsOf(db: Database, { id, number }: Selected): AsyncGenerator<Chart> {
  for (let after = ''; ; ) {
    const rows = await db.query<Chart>(charts, [id, number, after])
    yield* rows
    const last = rows.at(-1)
    if (!last || rows.length < pageRows) return
    after = last.chart
  }
}

/** `undefined`: it cannot be read as a chart, which is for whoever installs it to see. */
async function imagesOf(blobs: BlobStore, chart: Chart, signal: AbortSignal): Promise<string[] | undefined> {
  const open = await blobs.open({ digest: chart.layer, generation: chart.generation })
  if (!open) return undefined
  try {
    const bytes = Buffer.concat(await open.stream({ signal }).toArray())
    const folders = await unpackChart(bytes)
    return [...new Set([...folders.values()].flatMap(imagesOfValues))].sort()
  } catch {
    signal.throwIfAborted()
    return undefined
  } finally {
    await open.close()
  }
}

/** Those images that a repository of the export has by the tag or digest: `nginx:1` is in `nginx`, `library/nginx` and `mirror/library/nginx`. */
async function carriedOf(
  db: Database,
  repositories: readonly Selected[],
  images: ReadonlySet<string>,
): Promise<Set<string>> {
  const byPath = new Map<string, Selected[]>()
  for (const repository of repositories) {
    const names = repository.name.split('/')
    for (const at of names.keys()) {
      const path = names.slice(at).join('/')
      const known = byPath.get(path)
      if (known) known.push(repository)
      else byPath.set(path, [repository])
    }
  }
  const candidates = [...images].flatMap((image): Candidate[] => {
    const { path, tag, digest } = readImage(image)
    return (byPath.get(path) ?? []).map(({ id, number }) => ({ image, id, number, tag, digest }))
  })
  const rows = await db.query<{ image: string }>(
    `select distinct wanted.image
     from jsonb_to_recordset($1) as wanted (image text, id uuid, number integer, tag text, digest text)
     where exists (
         select
         from tag_interval as tag
         where ${heldIn('tag', 'wanted.id', 'wanted.number')}
           and wanted.digest is null
           and tag.name = wanted.tag)
       or exists (
         select
         from manifest_interval as member
         where ${heldIn('member', 'wanted.id', 'wanted.number')}
           and member.digest = wanted.digest)`,
    [JSON.stringify(candidates)],
  )
  return new Set(rows.map(({ image }) => image))
}

/** A reference without its host; without a tag it means `latest`. */
function readImage(image: string): { path: string; tag: string; digest: string | null } {
  const [name = '', digest = ''] = image.split('@')
  const colon = name.lastIndexOf(':')
  const hasTag = colon > name.lastIndexOf('/')
  const full = hasTag ? name.slice(0, colon) : name
  const [first = '', ...rest] = full.split('/')
  // As docker tells a host from a name.
  const hasHost = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost')
  return {
    path: hasHost ? rest.join('/') : full,
    tag: hasTag ? name.slice(colon + 1) : 'latest',
    digest: parseDigest(digest) ?? null,
  }
}
