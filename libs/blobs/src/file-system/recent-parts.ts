import type { StagedPart } from '../store/store.ts'

/** The bytes of small parts that came last: most are published a moment later, and would be read back for it. */
export type RecentParts = {
  add(part: StagedPart, bytes: Uint8Array): void
  /** Its bytes, if they are here, and are what the record of the part says. */
  find(part: StagedPart): Uint8Array | undefined
  forget(id: string): void
}

const mostBytes = 4 << 20

export function createRecentParts(): RecentParts {
  const recent = new Map<string, { sha256: string; bytes: Uint8Array }>()
  let sizeBytes = 0
  const forget = (id: string) => {
    sizeBytes -= recent.get(id)?.bytes.length ?? 0
    recent.delete(id)
  }
  return {
    add: ({ id, sha256 }, bytes) => {
      // A copy: a chunk of a socket may be a small piece of a large buffer, which it would keep.
      recent.set(id, { sha256, bytes: Uint8Array.from(bytes) })
      sizeBytes += bytes.length
      for (const oldest of recent.keys()) {
        if (sizeBytes <= mostBytes) return
        forget(oldest)
      }
    },
    find: ({ id, sha256 }) => {
      const found = recent.get(id)
      return found?.sha256 === sha256 ? found.bytes : undefined
    },
    forget,
  }
}
