import { lchownSync, type Stats } from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import path from 'node:path'

type Owner = { uid: number; gid: number }

/** Whose a folder is, or the nearest one above it where there is none yet; `undefined` where that does not matter: we are not root, or it is root's. */
export async function ownerOf(folder: string | undefined): Promise<Owner | undefined> {
  if (folder === undefined || process.geteuid?.() !== 0) return undefined
  const found = await statOf(folder)
  if (found) return found.uid === 0 ? undefined : { uid: found.uid, gid: found.gid }
  const above = path.dirname(folder)
  return above === folder ? undefined : ownerOf(above)
}

/** Gives what root has written below a place to its owner: Berth, which runs as that one, could not read it otherwise. */
export async function giveTo(owner: Owner | undefined, place: string | undefined): Promise<void> {
  const found = owner && place !== undefined ? await statOf(place) : undefined
  if (!owner || place === undefined || !found) return
  if (found.uid === 0) lchownSync(place, owner.uid, owner.gid)
  if (!found.isDirectory()) return
  for await (const { name } of await opendir(place)) await giveTo(owner, path.join(place, name))
}

async function statOf(place: string): Promise<Stats | undefined> {
  try {
    return await lstat(place)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
