import { createHash } from 'node:crypto'
import { algorithmOf, hexOf } from '@berth/oci'
import type { BlobKey, BlobStore, HealingReport } from './store.ts'

/** Verified bytes of a key that has a blob of that size already: kept until that one is proven to be right, or replaced by them. */
type Kept = { staged: string; key: BlobKey; sizeBytes: number }

export type Healing = {
  /** Takes over verified bytes. They are compared behind whatever the caller does next, one after the other. */
  keep(kept: Kept): Promise<void>
  /** Compares at once, where there is little to read: what it ends with is right, or could not be read. */
  compare(kept: Kept): Promise<void>
  /** Whether these bytes are kept here; a caller that wants to discard them leaves that to the healing. */
  keeps(staged: string): boolean
  /** Resolves once nothing is left to be compared. */
  idle(): Promise<void>
  /** Ends what is under way. What is left in staging goes with other leftovers. */
  close(): Promise<void>
}

export type HealingParts = {
  open: BlobStore['open']
  /** Puts kept bytes in the place of the damaged ones. */
  replace: (staged: string, key: BlobKey) => Promise<unknown>
  discard: (staged: string) => Promise<unknown>
  hear: ((report: HealingReport) => void) | undefined
}

// They take room in staging. Beyond this they are let go unseen: the scrub looks at everything in its time.
const mostKept = 256
const mostKeptBytes = 4 * 2 ** 30

/** Up to here what is stored is compared before whoever has written it again is answered: it takes less than the answer. */
export const comparedAtOnceBytes = 128 << 10

/**
 * Heals damage by what is pushed again. A client that pushes a blob has its right bytes, and perhaps does so because what is
 * stored is not: of what lies there already the size alone tells nothing.
 */
export function createHealing({ open, replace, discard, hear }: HealingParts): Healing {
  const kept = new Map<string, Kept>()
  const closing = new AbortController()
  let working = Promise.resolve()

  const isRight = async (key: BlobKey): Promise<boolean | undefined> => {
    const blob = await open(key)
    if (!blob) return undefined
    try {
      const hash = createHash(algorithmOf(key.digest))
      for await (const chunk of blob.stream({ signal: closing.signal })) hash.update(chunk as Uint8Array)
      return hash.digest('hex') === hexOf(key.digest)
    } catch (error) {
      if (closing.signal.aborted) throw error
      // What cannot be read is no better than what is wrong: a dying disk more often says EIO than that it turns a byte.
      return false
    } finally {
      await blob.close()
    }
  }
  const compare = async ({ staged, key }: Kept) => {
    if (closing.signal.aborted) return
    try {
      // Gone meanwhile: a push that needs it writes another generation.
      if ((await isRight(key)) === false) {
        await replace(staged, key)
        hear?.({ digest: key.digest, healed: true })
      }
      await discard(staged)
    } catch (error) {
      if (!closing.signal.aborted) hear?.({ digest: key.digest, healed: false, error })
    } finally {
      kept.delete(staged)
    }
  }
  return {
    keep: async (one) => {
      const { staged } = one
      if (kept.has(staged)) return
      const keptBytes = [...kept.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
      // One is taken however large it is.
      const isFull = kept.size >= mostKept || (kept.size > 0 && keptBytes + one.sizeBytes > mostKeptBytes)
      if (isFull || closing.signal.aborted) {
        await discard(staged)
        return
      }
      kept.set(staged, one)
      // `compare` tells of its failures itself; only a listener that throws comes here, and the next in line must be compared
      // all the same.
      working = working.then(() => compare(one)).catch(() => undefined)
    },
    compare,
    keeps: (staged) => kept.has(staged),
    idle: () => working,
    close: async () => {
      closing.abort()
      await working
    },
  }
}
