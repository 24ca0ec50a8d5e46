import { closeFile, openFile, syncNames } from './descriptors.ts'

/** Folders whose descriptors are kept a while: where many small blobs come, to open and close one costs as much as its fsync. */
export type OpenFolders = {
  /** Makes the names in a folder durable. Never twice at once for one folder. */
  sync(path: string): Promise<void>
  close(): Promise<void>
}

type Kept = { fd: number; usedAt: number }

/** Short, so that an idle store can be unmounted, and that a folder which was put in another's place is soon noticed. */
const usuallyKeptMs = 5_000
/** As many as there are folders of blobs of one algorithm. */
const mostKept = 256

export function createOpenFolders(keptMs = usuallyKeptMs): OpenFolders {
  const kept = new Map<string, Kept>()
  let timer: NodeJS.Timeout | undefined

  const closeUnused = () => {
    const before = performance.now() - keptMs
    for (const [path, { fd, usedAt }] of kept) {
      if (usedAt > before) continue
      kept.delete(path)
      // Nothing is written through it: a close that fails loses nothing.
      void closeFile(fd).catch(() => undefined)
    }
    if (kept.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  const keep = (path: string, fd: number): Promise<void> | undefined => {
    if (kept.size >= mostKept) return closeFile(fd)
    kept.set(path, { fd, usedAt: performance.now() })
    timer ??= setInterval(closeUnused, keptMs).unref()
    return undefined
  }

  return {
    sync: async (path) => {
      const known = kept.get(path)
      // The call that syncs has it, and puts it back afterwards.
      kept.delete(path)
      const fd = known?.fd ?? (await openFile(path))
      try {
        await syncNames(fd)
      } catch (error) {
        await closeFile(fd)
        throw error
      }
      await keep(path, fd)
    },
    close: async () => {
      clearInterval(timer)
      timer = undefined
      const fds = [...kept.values()].map(({ fd }) => fd)
      kept.clear()
      await Promise.all(fds.map(closeFile))
    },
  }
}
