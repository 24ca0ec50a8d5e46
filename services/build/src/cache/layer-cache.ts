import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'

/** The layer cache of one repository: entries, each the index of a layout, over blobs that they share. */
export type LayerCache = { folder: string; entries: Entry[]; close(): void }
type Entry = { name: string; index: string; usedMs: number }

/** Further back nothing is looked for. */
const mostEntries = 8

// Blobs that a build of this process reads must stay; other processes have other folders.
const readers = new Map<string, number>()

/** Opens the cache of a repository, whose blobs stay until it is closed. */
export async function openCache(folder: string): Promise<LayerCache> {
  await mkdir(path.join(folder, 'blobs', 'sha256'), { recursive: true })
  await mkdir(path.join(folder, 'entries'), { recursive: true })
  readers.set(folder, (readers.get(folder) ?? 0) + 1)
  let isOpen = true
  const close = () => {
    if (isOpen) readers.set(folder, (readers.get(folder) ?? 1) - 1)
    isOpen = false
  }
  try {
    return { folder, entries: (await listEntries(folder)).slice(0, mostEntries), close }
  } catch (error) {
    close()
    throw error
  }
}

/** Keeps what a build can use again, in place of what it kept under the same key before. */
export async function keepEntry(
  cache: LayerCache,
  { key, index, blobs }: { key: string; index: string; blobs: string },
): Promise<void> {
  const from = path.join(blobs, 'blobs', 'sha256')
  for (const name of await readdir(from))
    await move(path.join(from, name), path.join(cache.folder, 'blobs', 'sha256', name))
  const name = createHash('sha256').update(key).digest('hex')
  const place = path.join(cache.folder, 'entries', name)
  // Whole or not at all: what is cut would be found by the next build.
  const partial = path.join(cache.folder, `.${randomUUID()}`)
  await writeFile(partial, index)
  await rename(partial, place)
}

/** Across file systems too. */
async function move(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
    const partial = `${to}.${randomUUID()}`
    await writeFile(partial, await readFile(from))
    await rename(partial, to)
  }
}

async function listEntries(folder: string): Promise<Entry[]> {
  const names = await readdir(path.join(folder, 'entries'))
  const entries = await Promise.all(
    names.map(async (name) => {
      const file = path.join(folder, 'entries', name)
      const [index, { mtimeMs }] = await Promise.all([readFile(file, 'utf8'), stat(file)])
      return { name, index, usedMs: mtimeMs }
    }),
  )
  return entries.sort((a, b) => b.usedMs - a.usedMs)
}

/**
 * Keeps the caches of all repositories, which are the folders in one, within their bytes: the entries that were not used for longest
 * go first, and with them the blobs that no other entry of the repository needs.
 */
export async function boundCaches(
  root: string,
  { bytes, repositoryBytes }: { bytes: number; repositoryBytes: number },
): Promise<void> {
  const caches = await Promise.all((await listFolders(root)).map((name) => measure(path.join(root, name))))
  for (const cache of caches) await shrink([cache], repositoryBytes)
  await shrink(caches, bytes)
  for (const cache of caches) await sweepBlobs(cache)
}

type Measured = { folder: string; sizes: Map<string, number>; entries: (Entry & { blobs: string[] })[] }

async function measure(folder: string): Promise<Measured> {
  const sizes = new Map<string, number>()
  for (const name of await listFolders(path.join(folder, 'blobs', 'sha256')))
    sizes.set(name, (await stat(path.join(folder, 'blobs', 'sha256', name))).size)
  const listed = (await listFolders(path.join(folder, 'entries'))).length === 0 ? [] : await listEntries(folder)
  const entries = await Promise.all(listed.map(async (entry) => ({ ...entry, blobs: await blobsOf(folder, entry) })))
  return { folder, sizes, entries }
}

/** The blobs of an entry as far as they are here: those of bases are not. */
async function blobsOf(folder: string, { index }: Entry): Promise<string[]> {
  const found = new Set<string>()
  const waiting = digestsIn(index)
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (found.has(next)) continue
    found.add(next)
    const file = path.join(folder, 'blobs', 'sha256', next)
    const small = await stat(file).catch(() => undefined)
    // Manifests and what they name; layers are no texts and name nothing.
    if (small && small.size <= 1 << 20) waiting.push(...digestsIn(await readFile(file, 'latin1')))
  }
  return [...found]
}

function digestsIn(text: string): string[] {
  if (!text.startsWith('{')) return []
  return [...text.matchAll(/"sha256:([0-9a-f]{64})"/g)].map(([, hex = '']) => hex)
}

function usedBytes({ entries, sizes }: Measured): number {
  const blobs = new Set(entries.flatMap((entry) => entry.blobs))
  return [...blobs].reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0)
}

async function shrink(caches: readonly Measured[], bytes: number): Promise<void> {
  const inOrder = caches.flatMap((cache) => cache.entries.map((entry) => ({ cache, entry })))
  inOrder.sort((a, b) => a.entry.usedMs - b.entry.usedMs)
  for (const { cache, entry } of inOrder) {
    if (caches.reduce((sum, one) => sum + usedBytes(one), 0) <= bytes) return
    await rm(path.join(cache.folder, 'entries', entry.name), { force: true })
    cache.entries = cache.entries.filter((one) => one !== entry)
  }
}

async function sweepBlobs({ folder, entries, sizes }: Measured): Promise<void> {
  if ((readers.get(folder) ?? 0) > 0) return
  const needed = new Set(entries.flatMap((entry) => entry.blobs))
  for (const name of sizes.keys())
    if (!needed.has(name)) await rm(path.join(folder, 'blobs', 'sha256', name), { force: true })
}

async function listFolders(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
