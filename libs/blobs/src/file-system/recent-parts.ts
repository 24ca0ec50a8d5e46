import type { StagedPart } from '../store/store.ts'

/**
 * The bytes of small parts that came last. Most are published a moment later, by the same process where it `isAlone`: only those that are
 * not get a file then, behind the answer. Where another process may publish them they have it from the beginning.
 */
export type RecentParts = {
  /** `write` makes its file. Waits for that where another process may need it, and while there is no room, as when the disk hangs. */
  add(part: StagedPart, bytes: Uint8Array, write: (bytes: Uint8Array) => Promise<void>): Promise<void>
  has(id: string): boolean
  /** Its bytes, if they are here, and are what the record of the part says. */
  find(part: StagedPart): Uint8Array | undefined
  /** As `find`, for a publication, which needs no file. `hasFile`: it has one already. */
  take(part: StagedPart): Promise<{ bytes: Uint8Array; hasFile: boolean } | undefined>
  /** Answers whether there may be a file. */
  forget(id: string): Promise<boolean>
  /** Makes the files that are missing. */
  close(): Promise<void>
}

type Recent = {
  sha256: string
  bytes: Uint8Array
  write: (bytes: Uint8Array) => Promise<void>
  late: NodeJS.Timeout
  writing?: Promise<void>
}

/** What keeping a part costs beside its bytes. */
const entryBytes = 1_000
const sizeOf = ({ bytes }: Recent) => bytes.length + entryBytes

type Options = { isAlone?: boolean | undefined; mostBytes?: number; restMs?: number }

/** `restMs`: how long after it came a part gets its file. */
export function createRecentParts({ isAlone = false, mostBytes = 4 << 20, restMs = 100 }: Options = {}): RecentParts {
  const recent = new Map<string, Recent>()
  let sizeBytes = 0
  const drop = (id: string) => {
    const one = recent.get(id)
    if (!one) return
    clearTimeout(one.late)
    recent.delete(id)
    sizeBytes -= sizeOf(one)
  }
  const beginFile = (one: Recent): void => {
    clearTimeout(one.late)
    // A file that is missing when it is needed makes the client begin anew (`missing_part`). That the disk fails is an error of the append that
    // ends the upload, before anything is promised.
    one.writing ??= one.write(one.bytes).catch(() => undefined)
  }
  const makeFile = async (one: Recent) => {
    beginFile(one)
    await one.writing
  }
  const find = ({ id, sha256 }: StagedPart) => {
    const one = recent.get(id)
    return one?.sha256 === sha256 ? one : undefined
  }
  return {
    add: async ({ id, sha256 }, bytes, write) => {
      if (!isAlone) await write(bytes)
      // It adds nothing to what is published.
      if (bytes.length === 0) return
      const late = setTimeout(() => beginFile(one), restMs).unref()
      // A copy: a chunk of a socket may be a small piece of a large buffer, which it would keep.
      const one: Recent = { sha256, bytes: Uint8Array.from(bytes), write, late }
      if (!isAlone) one.writing = Promise.resolve()
      recent.set(id, one)
      sizeBytes += sizeOf(one)
      for (const [oldest, its] of recent) {
        if (sizeBytes <= mostBytes) return
        await makeFile(its)
        if (recent.get(oldest) === its) drop(oldest)
      }
    },
    has: (id) => recent.has(id),
    find: (part) => find(part)?.bytes,
    take: async (part) => {
      const one = find(part)
      if (!one) return undefined
      await one.writing
      return { bytes: one.bytes, hasFile: one.writing !== undefined }
    },
    forget: async (id) => {
      const one = recent.get(id)
      drop(id)
      await one?.writing
      return !one || one.writing !== undefined
    },
    close: async () => {
      await Promise.all([...recent.values()].map(makeFile))
    },
  }
}
