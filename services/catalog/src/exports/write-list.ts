import type { Sql } from '@berth/service'
import { type ListLine, writeLine } from '../archives/list-lines.ts'
import { blobLines, manifestLines, signatureLines, tagLines } from './contents.ts'
import type { Selected } from './export-row.ts'

export type Listed = { lines: number; manifests: number; blobs: number; tags: number; signatures: number }

/** The list of a repository, a page of lines at a time; `listed` counts them. */
export async function* writeList(sql: Sql, repository: Selected, listed: Listed): AsyncGenerator<Uint8Array> {
  const kinds = { manifests: manifestLines, blobs: blobLines, tags: tagLines, signatures: signatureLines }
  for (const [kind, read] of Object.entries(kinds))
    for await (const page of read(sql, repository) as AsyncGenerator<ListLine[]>) {
      listed.lines += page.length
      listed[kind as keyof typeof kinds] += page.length
      yield Buffer.from(page.map(writeLine).join(''))
    }
}
