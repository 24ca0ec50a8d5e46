import type { Logger } from './logger.ts'

type Part = { name: string; stop: () => Promise<void> | void }

/**
 * Starts parts in order and stops them in the opposite order. When a start fails, what had started is stopped before the
 * error goes on. A part that fails to stop does not keep the others from it.
 */
export class Lifecycle {
  readonly #parts: Part[] = []
  readonly #log: Logger
  #stopping: Promise<void> | undefined

  readonly #slowMs: number

  /** Of a part that takes longer than `slowMs` to stop the log tells by name: one that never does would be looked for in vain. */
  constructor(log: Logger, { slowMs = 5_000 } = {}) {
    this.#log = log
    this.#slowMs = slowMs
  }

  /** Starts one part; `start` gives back how to stop it. */
  async add(name: string, start: () => Promise<() => Promise<void> | void>): Promise<void> {
    try {
      this.#parts.push({ name, stop: await start() })
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /** Remembers how to stop something that already runs. */
  onStop(name: string, stop: () => Promise<void> | void): void {
    this.#parts.push({ name, stop })
  }

  /** Stops everything once; later calls wait for the first. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll()
    return this.#stopping
  }

  async #stopAll(): Promise<void> {
    for (const part of this.#parts.reverse()) {
      const tell = () => this.#log.warn('a part takes long to stop', { part: part.name })
      const slow = setTimeout(tell, this.#slowMs)
      try {
        await part.stop()
      } catch (error) {
        this.#log.warn('part did not stop cleanly', { part: part.name, error })
      } finally {
        clearTimeout(slow)
      }
    }
    this.#parts.length = 0
  }
}
