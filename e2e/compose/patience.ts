import { setTimeout as pause } from 'node:timers/promises'

// docker tries five times, with waits that grow; so do podman, skopeo and containerd, or more often.
const triesAtMost = 5
const firstWaitMs = 500

/** Tries as container tools do. */
export type Patience = {
  /** What had to be tried again. */
  readonly retried: readonly string[]
  /** What failed as often as a client tries, and what was answered wrong. */
  readonly failed: readonly string[]
  /** What the work answers; undefined once it has failed as often as a client tries. */
  readonly persist: <T>(what: string, work: () => Promise<T>) => Promise<T | undefined>
  /** Notes what no client would try again. */
  readonly fail: (what: string) => void
}

export function createPatience(): Patience {
  const retried: string[] = []
  const failed: string[] = []
  return {
    retried,
    failed,
    fail: (what) => void failed.push(what),
    persist: async (what, work) => {
      for (let tries = 1, waitMs = firstWaitMs; ; tries++, waitMs *= 2) {
        try {
          return await work()
        } catch (error) {
          const said = `${what}: ${String(error)} ${(error as { cause?: { code?: string } }).cause?.code ?? ''}`
          if (tries === triesAtMost) {
            failed.push(said)
            return undefined
          }
          retried.push(said)
          await pause(waitMs)
        }
      }
    },
  }
}
