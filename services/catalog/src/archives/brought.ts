import type { Archive } from './archive.ts'
import type { ChartImages, ExportedDistribution, ExportedRepository } from './document.ts'
import type { ListLine } from './list-lines.ts'

/** What an archive brings, whoever made it. */
export type Contents = {
  kind: 'berth' | 'oci-archive' | 'docker-archive'
  /** Where the bytes are. */
  archive: Archive
  /** The installation that it comes from, where Berth made it. */
  origin: string | null
  repositories: BroughtRepository[]
  distributions: ExportedDistribution[]
  chartImages: ChartImages[]
  /** What is to be checked to know who made it. */
  signed: { document: Buffer; signature: Buffer | null } | null
  /** Sentences that people are told of it. */
  notes: string[]
}
export type BroughtRepository = {
  /** What it is called in the archive. */
  name: string
  /** What Berth says of it. */
  exported: ExportedRepository | null
  /** All that it has, in the order of lists of Berth's archives. */
  lines(signal?: AbortSignal): AsyncIterable<ListLine>
}

/** What an archive of another tool brings. */
export type Plain = Pick<Contents, 'kind' | 'archive' | 'repositories' | 'notes'>
