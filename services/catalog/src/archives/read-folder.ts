import type { Dirent } from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import path from 'node:path'
import { digestAlgorithms } from '@berth/oci'
import { BadArchive } from './bad-archive.ts'
import type { BlobPlaces } from './blob-places.ts'
import { digestOfBlob } from './member-names.ts'

export type FolderMember = { name: string; sizeBytes: number }

const mostOthers = 100_000

/** Finds the members of a layout that lies in a folder. A link at any step is refused, and whatever an archive does not have. */
export async function readFolder(
  root: string,
  blobs: BlobPlaces,
  signal?: AbortSignal,
): Promise<Map<string, FolderMember>> {
  const members = new Map<string, FolderMember>()
  const folders = new Set(['blobs', 'berth', ...digestAlgorithms.map((algorithm) => `blobs/${algorithm}`)])
  const walk = async (folder: string): Promise<void> => {
    for await (const entry of await opendir(path.join(root, folder))) {
      signal?.throwIfAborted()
      const name = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory() && folders.has(name)) {
        await walk(name)
        continue
      }
      const sizeBytes = await sizeOf(root, name, entry)
      const digest = digestOfBlob(name)
      if (digest) blobs.add(digest, { offset: 0, sizeBytes })
      else members.set(name, { name, sizeBytes })
      if (members.size > mostOthers)
        throw new BadArchive(name, `is one of more than ${mostOthers} files that are no blobs`)
    }
  }
  await walk('')
  blobs.settle()
  return members
}

async function sizeOf(root: string, name: string, entry: Dirent): Promise<number> {
  if (entry.isSymbolicLink()) throw new BadArchive(name, 'is a link')
  if (!entry.isFile()) throw new BadArchive(name, 'is no file, and no folder that an archive has')
  return (await lstat(path.join(root, name))).size
}
