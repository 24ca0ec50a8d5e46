/** Where an export goes that is no download. Files become visible together, by `finish`; a repetition of it finds them there. */
export type Target = {
  /** Throws when something is at its place. */
  requireFree(): Promise<void>
  /** Makes what is needed to write, and removes what an attempt before this one left. `bytes`: what is about to be written. */
  begin(bytes: number): Promise<void>
  /** Each chunk of the source is lent until the next one is asked for. */
  write(name: string, source: AsyncIterable<Uint8Array>, sizeBytes: number): Promise<void>
  finish(): Promise<void>
  /** Whether `finish` was here before. */
  isFinished(): Promise<boolean>
  /** Removes what was written and is not finished. */
  discard(): Promise<void>
}

/** What is written: the files of a layout, one archive, or parts of it with a file of their checksums. */
export type Form = 'layout' | 'archive' | 'parts'

export function formOf({ path, chunkBytes }: { path: string | null; chunkBytes: number | null }): Form {
  if (chunkBytes !== null) return 'parts'
  return path === null || path.endsWith('.tar') ? 'archive' : 'layout'
}

export const checksumsName = 'SHA256SUMS'

/** What an archive is called, and its parts are called by. */
export function archiveName({ id, path }: { id: string; path: string | null }): string {
  const last = path?.split('/').at(-1) ?? `export-${id}`
  return last.endsWith('.tar') ? last : `${last}.tar`
}

/** `<name>.tar.000`; the first is 0. They sort as text up to the thousandth, and by `ls -v` beyond. */
export function partName(archive: string, number: number): string {
  return `${archive}.${String(number).padStart(3, '0')}`
}

/** A file as `sha256sum -c` reads it. */
export function checksumLines(files: readonly { name: string; digest: string }[]): string {
  return files.map(({ name, digest }) => `${digest.replace('sha256:', '')}  ${name}\n`).join('')
}
