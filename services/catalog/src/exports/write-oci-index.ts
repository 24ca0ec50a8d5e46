import { type Digest, mediaTypes } from '@berth/oci'
import type { Sql } from '@berth/service'
import { heldIn } from '../intervals/held.ts'
import { typeOf } from '../intervals/tables.ts'
import type { Selected } from './export-row.ts'

const pageRows = 500
const head = `{"schemaVersion":2,"mediaType":"${mediaTypes.ociIndex}","manifests":[`
const refName = 'org.opencontainers.image.ref.name'

/** Whether the base of a delta has something that a tag needs: other tools would look for it in vain. */
const needsBase = `exists (
    with recursive below (digest) as (
      select tag.digest
      union
      select reference.child
      from below
      join manifest_reference as reference
        on reference.manifest = below.digest and reference.role in ('config', 'layer', 'manifest'))
    select
    from below
    where exists (select from blob_interval as base where ${heldIn('base', '$1', '$4')} and base.digest = below.digest)
      or exists (select from manifest_interval as base where ${heldIn('base', '$1', '$4')} and base.digest = below.digest))`

/**
 * What other tools can do something with: companion tags would keep podman from loading the one image of an archive, and schema 1 is in no
 * OCI layout.
 */
const listedTags = `
  select tag.name, tag.digest, manifest.size_bytes as size, ${typeOf('member')} as "mediaType"
  from tag_interval as tag
  join manifest using (digest)
  join manifest_interval as member on ${heldIn('member', '$1', '$2')} and member.digest = tag.digest
  where ${heldIn('tag', '$1', '$2')}
    and tag.name > $3
    and tag.name !~ '^sha(256|512)-[0-9a-f]{64}([^0-9a-f]|$)'
    and ${typeOf('member')} not in ('${mediaTypes.dockerSchema1}', '${mediaTypes.dockerSchema1Signed}')
    and ($4::integer is null or not ${needsBase})
  order by tag.name
  limit ${pageRows}`

type Row = { name: string; digest: Digest; size: number; mediaType: string }

/** `index.json`: the tags of all repositories, each by the name `<repository>:<tag>`, a page at a time. */
export async function* writeOciIndex(sql: Sql, repositories: readonly Selected[]): AsyncGenerator<Uint8Array> {
  yield Buffer.from(head)
  let isFirst = true
  for (const repository of repositories)
    for await (const page of tagPages(sql, repository)) {
      const entries = page.map(({ name, digest, size, mediaType }) =>
        JSON.stringify({ mediaType, digest, size, annotations: { [refName]: `${repository.name}:${name}` } }),
      )
      yield Buffer.from(`${isFirst ? '' : ','}${entries.join(',')}`)
      isFirst = false
    }
  yield Buffer.from(']}')
}

async function* tagPages(sql: Sql, { id, number, since }: Selected): AsyncGenerator<Row[]> {
  for (let after = ''; ; ) {
    const rows = await sql.query<Row>(listedTags, [id, number, after, since])
    if (rows.length > 0) yield rows
    const last = rows.at(-1)
    if (!last || rows.length < pageRows) return
    after = last.name
  }
}
