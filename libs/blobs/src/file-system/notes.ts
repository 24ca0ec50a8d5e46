import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writePath } from '../store/paths.ts'
import type { NoteName } from '../store/store.ts'
import { moveFile, syncFolder, writeSmallFile } from './descriptors.ts'
import { errnoOf } from './failure.ts'

/** Puts a small text into the root, in place of what has its name; durable when it resolves. */
export async function placeText(root: string, name: string, text: string): Promise<void> {
  const staged = join(root, writePath(`text-${randomUUID()}`))
  await writeSmallFile(staged, Buffer.from(text))
  await moveFile(staged, join(root, name))
  await syncFolder(root)
}

/** A small text in the root, `undefined` when it is not there. */
export async function readText(root: string, name: NoteName): Promise<string | undefined> {
  try {
    return await readFile(join(root, name), 'utf8')
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    return undefined
  }
}
