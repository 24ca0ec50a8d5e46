import { lstat, opendir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { badField, Problem } from '@berth/service'
import { type Archive, openFolder, openTar } from '../archives/archive.ts'
import { BadArchive } from '../archives/bad-archive.ts'
import type { Contents } from '../archives/brought.ts'
import { type ByteSource, joined } from '../archives/byte-source.ts'
import { readContents } from '../archives/contents.ts'
import { openFile } from '../archives/file-source.ts'
import { layoutName } from '../archives/member-names.ts'
import { pieceSource } from './blob-source.ts'
import type { ImportJob } from './import-row.ts'
import { type PieceDeps, readPieces, unpackedPart } from './store-piece.ts'
import { placeBelow } from './transfer-place.ts'
import { compressionOf, unpackArchive } from './unpack.ts'

export type OpenDeps = PieceDeps & { transferDirectory: string | undefined }
type Options = { signal?: AbortSignal | undefined; onUnpacked?: (bytes: number) => void }

const sumsName = 'SHA256SUMS'
const mostParts = 10_000
const sumsLimitBytes = 4 << 20

/** What parts of an archive are to hash to, where a file of checksums lies beside them. */
export type PartSums = { source: ByteSource; name: string; sha256: string }[]
export type OpenedArchive = { contents: Contents; sums: PartSums; close: () => Promise<void> }

/** Opens the archive of an import in place and reads its structure. The caller closes it. */
export async function openImport(deps: OpenDeps, job: ImportJob, options: Options = {}): Promise<OpenedArchive> {
  const { source, sums, folder } = await sourceOf(deps, job)
  let archive: Archive | undefined
  try {
    archive =
      folder === undefined ? await openPacked(deps, job, source, options) : await openFolder(folder, options.signal)
    const opened = archive
    const close = async () => {
      await opened.close()
      await source?.close()
    }
    return { contents: await readContents(archive, options.signal), sums, close }
  } catch (error) {
    await archive?.close()
    await source?.close()
    throw error
  }
}

async function openPacked(
  deps: OpenDeps,
  job: ImportJob,
  source: ByteSource | undefined,
  { signal, onUnpacked }: Options,
): Promise<Archive> {
  if (!source) throw new Error('an archive without a folder has a source')
  const compression = await compressionOf(source)
  if (!compression) return openTar(source, signal)
  if (!job.unpacked)
    await unpackArchive(
      deps,
      { importId: job.id, source, compression },
      { signal, ...(onUnpacked ? { onBytes: onUnpacked } : {}) },
    )
  const pieces = (await readPieces(deps.db, job.id)).filter(({ part }) => part === unpackedPart)
  return openTar(joined(pieces.map((piece) => pieceSource(deps.blobs, piece))), signal)
}

type Found = { source?: ByteSource; sums: PartSums; folder?: string }

async function sourceOf({ db, blobs, transferDirectory }: OpenDeps, job: ImportJob): Promise<Found> {
  if (job.source === 'directory') return lyingAt(await placeBelow(transferDirectory, job.path ?? ''))
  const pieces = (await readPieces(db, job.id)).filter(({ part }) => part !== unpackedPart)
  const numbers = [...new Set(pieces.map(({ part }) => part))]
  if (numbers.length === 0)
    throw new Problem(409, 'nothing_uploaded', 'Nothing was uploaded for this import yet.', {
      hint: `PATCH /api/v1/imports/${job.id}/parts/0 with the bytes of the archive.`,
    })
  const missing = numbers.findIndex((number, at) => number !== at)
  if (missing >= 0) throw new BadArchive(`part ${missing}`, 'is missing')
  return { source: joined(pieces.map((piece) => pieceSource(blobs, piece))), sums: [] }
}

/** A layout, a file, or the parts of one. */
async function lyingAt(place: string): Promise<Found> {
  const found = await lstat(place).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw badField('from.path', 'names nothing that is there')
    throw error
  })
  if (found.isFile()) return { source: await openFile(place, path.basename(place)), sums: [] }
  const names: string[] = []
  for await (const entry of await opendir(place)) {
    if (entry.name === layoutName) return { folder: place, sums: [] }
    names.push(entry.name)
    if (names.length > mostParts)
      throw new BadArchive(path.basename(place), `has more than ${mostParts} files, and no ${layoutName}`)
  }
  return openParts(place, names)
}

async function openParts(folder: string, names: readonly string[]): Promise<Found> {
  const listed = names.includes(sumsName) ? await readSums(path.join(folder, sumsName)) : undefined
  const wanted = listed ? [...listed.keys()] : names.filter((name) => !name.startsWith('.')).sort(byNumber)
  if (wanted.length === 0) throw new BadArchive(path.basename(folder), 'has no file')
  const sources: ByteSource[] = []
  try {
    for (const name of wanted) sources.push(await openFile(path.join(folder, name), name))
  } catch (error) {
    await Promise.all(sources.map((source) => source.close()))
    throw error
  }
  const sums = sources.map((source, at) => ({
    source,
    name: wanted[at] ?? '',
    sha256: listed?.get(wanted[at] ?? '') ?? '',
  }))
  return { source: joined(sources), sums: listed ? sums : [] }
}

/** Parts that end in numbers stand in the order of these, also where they have no zeros before them. */
function byNumber(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}

/** Reads what `sha256sum` writes: the parts in their order. */
async function readSums(file: string): Promise<Map<string, string>> {
  const source = await openFile(file, sumsName)
  await source.close()
  if (source.sizeBytes > sumsLimitBytes) throw new BadArchive(sumsName, `has more than ${sumsLimitBytes} bytes`)
  const sums = new Map<string, string>()
  for (const [at, line] of (await readFile(file, 'utf8')).split('\n').entries()) {
    if (line === '') continue
    const [, sha256 = '', name = ''] = /^([0-9a-f]{64}) [ *]([^/\0]+)$/.exec(line) ?? []
    if (sha256 === '' || name === '.' || name === '..' || sums.has(name))
      throw new BadArchive(`${sumsName}:${at + 1}`, 'is no line of sha256sum for another file beside it')
    sums.set(name, sha256)
  }
  return sums
}
