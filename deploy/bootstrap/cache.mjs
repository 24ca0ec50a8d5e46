import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { CannotGoOn } from './say.mjs'

const oneDayMs = 86_400_000

/** The folder for what is downloaded or built once per machine; outside the checkout, so that a fresh clone has it too. */
export function cacheFolder() {
  const folder =
    process.env.BERTH_CACHE ||
    (process.env.XDG_CACHE_HOME
      ? path.join(process.env.XDG_CACHE_HOME, 'berth')
      : path.join(os.homedir(), '.cache', 'berth'))
  try {
    mkdirSync(folder, { recursive: true })
  } catch (error) {
    throw new CannotGoOn(
      `cannot make the cache folder ${folder} (${error.code}): set BERTH_CACHE to a folder you may write to.`,
    )
  }
  return path.resolve(folder)
}

/**
 * Fills `name` in the cache by `make(folder)` unless it is there. It is made under another name and renamed, so what a
 * killed run leaves is never taken for whole; of two that make the same, the first one's stays.
 */
export async function placeOnce(name, make) {
  const cache = cacheFolder()
  const place = path.join(cache, name)
  if (existsSync(place)) return place
  removeOldPartials(cache)
  const partial = mkdtempSync(path.join(cache, `.partial-${name}-`))
  try {
    await make(partial)
    renameSync(partial, place)
  } catch (error) {
    const another = ['ENOTEMPTY', 'EEXIST'].includes(error.code) && existsSync(place)
    if (!another) throw error
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
  return place
}

function removeOldPartials(cache) {
  for (const entry of readdirSync(cache)) {
    const partial = path.join(cache, entry)
    if (entry.startsWith('.partial-') && Date.now() - statSync(partial).mtimeMs > oneDayMs) {
      rmSync(partial, { recursive: true, force: true })
    }
  }
}
