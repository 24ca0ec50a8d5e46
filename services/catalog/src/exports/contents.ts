import type { Digest } from '@berth/oci'
import type { Sql } from '@berth/service'
import type { BlobLine, ManifestLine, SignatureLine, TagLine } from '../archives/list-lines.ts'
import { heldIn } from '../intervals/held.ts'
import type { Selected } from './export-row.ts'

const pageRows = 500

/** Whether the base of a delta has a row too. */
const inBase = (table: string) =>
  `$4::integer is not null and exists (
    select
    from ${table} as base
    where base.digest = member.digest
      and ${heldIn('base', '$1', '$4')})`

const manifests = `
  select member.digest, manifest.size_bytes as size, nullif(member.pushed_type, '') as "mediaType", manifest.envelope,
    ${inBase('manifest_interval')} as held
  from manifest_interval as member
  join manifest using (digest)
  where ${heldIn('member', '$1', '$2')}
    and member.digest > $3
  order by member.digest
  limit ${pageRows}`

/** The size of what was lost is known to the manifests that name it. */
const sizeOf = `coalesce(
    blob.size_bytes,
    (
      select size_bytes
      from manifest_reference
      where child = blob.digest
      limit 1),
    0)`

const blobs = `
  select member.digest, ${sizeOf} as size, ${inBase('blob_interval')} as held, false as foreign
  from blob_interval as member
  join blob using (digest)
  where ${heldIn('member', '$1', '$2')}
    and member.digest > $3
  order by member.digest
  limit ${pageRows}`

/** Layers that their manifests say lie elsewhere, where the repository does not have them all the same. */
const foreignLayers = `
  select layer.child as digest, min(layer.size_bytes) as size, false as held, true as foreign
  from manifest_interval as member
  join manifest_reference as layer on layer.manifest = member.digest and layer.role = 'layer' and layer.optional
  where ${heldIn('member', '$1', '$2')}
    and layer.child > $3
    and not exists (
      select
      from blob_interval as stored
      where stored.digest = layer.child
        and ${heldIn('stored', '$1', '$2')})
  group by layer.child
  order by layer.child
  limit ${pageRows}`

const tags = `
  select name, digest
  from tag_interval as tag
  where ${heldIn('tag', '$1', '$2')}
    and name > $3
  order by name
  limit ${pageRows}`

const signatures = `
  select name, digest, content
  from signature_interval as signature
  where ${heldIn('signature', '$1', '$2')}
    and name > $3
  order by name
  limit ${pageRows}`

type ManifestRow = { digest: Digest; size: number; mediaType: string | null; envelope: Digest | null; held: boolean }
type BlobRow = { digest: Digest; size: number; held: boolean; foreign: boolean }

/** The manifests of a version, a page at a time. */
export async function* manifestLines(sql: Sql, of: Selected): AsyncGenerator<ManifestLine[]> {
  for await (const page of pages<ManifestRow>(sql, manifests, of, ({ digest }) => digest, [of.since]))
    yield page.map(({ digest, size, mediaType, envelope, held }) => ({
      manifest: digest,
      size,
      ...(mediaType === null ? {} : { mediaType }),
      ...(envelope === null ? {} : { envelope }),
      ...(held ? { held: true } : {}),
    }))
}

/** The configurations and layers of a version, and what is foreign among them, in the order of their digests. */
export async function* blobLines(sql: Sql, of: Selected): AsyncGenerator<BlobLine[]> {
  const stored = pages<BlobRow>(sql, blobs, of, ({ digest }) => digest, [of.since])
  const foreign = pages<BlobRow>(sql, foreignLayers, of, ({ digest }) => digest)
  for await (const page of merged(stored, foreign))
    yield page.map(({ digest, size, held, foreign: isForeign }) => ({
      blob: digest,
      size,
      ...(held ? { held: true } : {}),
      ...(isForeign ? { foreign: true } : {}),
    }))
}

export async function* tagLines(sql: Sql, of: Selected): AsyncGenerator<TagLine[]> {
  for await (const page of pages<{ name: string; digest: Digest }>(sql, tags, of, ({ name }) => name))
    yield page.map(({ name, digest }) => ({ tag: name, digest }))
}

export async function* signatureLines(sql: Sql, of: Selected): AsyncGenerator<SignatureLine[]> {
  type Row = { name: string; digest: Digest; content: string }
  for await (const page of pages<Row>(sql, signatures, of, ({ name }) => name))
    yield page.map(({ name, digest, content }) => ({ signature: name, digest, content }))
}

async function* pages<Row extends object>(
  sql: Sql,
  query: string,
  { id, number }: Selected,
  keyOf: (row: Row) => string,
  more: unknown[] = [],
): AsyncGenerator<Row[]> {
  for (let after = ''; ; ) {
    const rows = await sql.query<Row>(query, [id, number, after, ...more])
    if (rows.length > 0) yield rows
    const last = rows.at(-1)
    if (!last || rows.length < pageRows) return
    after = keyOf(last)
  }
}

/** Two lists that are sorted by digest as one. */
async function* merged(one: AsyncGenerator<BlobRow[]>, other: AsyncGenerator<BlobRow[]>): AsyncGenerator<BlobRow[]> {
  let waiting = (await other.next()).value as BlobRow[] | undefined
  for await (const page of one) {
    let out = page
    while (waiting && (waiting[0]?.digest ?? '') <= (page.at(-1)?.digest ?? '')) {
      const last = page.at(-1)?.digest ?? ''
      out = [...out, ...waiting.filter(({ digest }) => digest <= last)]
      waiting = waiting.filter(({ digest }) => digest > last)
      if (waiting.length === 0) waiting = (await other.next()).value as BlobRow[] | undefined
    }
    yield out.sort((a, b) => (a.digest < b.digest ? -1 : 1))
  }
  for (; waiting; waiting = (await other.next()).value as BlobRow[] | undefined) yield waiting
}
