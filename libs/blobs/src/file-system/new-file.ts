import type { Received } from '../store/verify.ts'
import { closeFile, openNew, syncData, writeAll } from './descriptors.ts'

/** Where the pieces of a long source go, in any order and several at once. */
export type Pieces = {
  /** Takes the first bytes of a buffer, which stand at this offset of the source; the buffer is free again when it resolves. */
  put(buffer: Buffer, lengthBytes: number, position: number): Promise<void>
  /** Resolves once all that was put is durable. `proven`: the size and hash of all of it, or why it is not wanted. */
  settle(proven: Promise<Received>): Promise<void>
  /** Lets go of the file, once nothing is done with it any more. */
  close(): Promise<void>
}

/** Written back early, so that the last fdatasync, for which the client waits, is short. */
const earlySyncBytes = 32 << 20

/** A file that is made of pieces. */
export class NewFile implements Pieces {
  readonly #fd: number
  readonly #syncs = new Set<Promise<void>>()
  #unsyncedBytes = 0
  #failure: { error: unknown } | undefined

  private constructor(fd: number) {
    this.#fd = fd
  }

  /** Makes a file that must not exist yet. */
  static async make(path: string): Promise<NewFile> {
    return new NewFile(await openNew(path))
  }

  async put(buffer: Buffer, lengthBytes: number, position: number): Promise<void> {
    await writeAll(this.#fd, buffer, lengthBytes, position)
    this.#unsyncedBytes += lengthBytes
    if (this.#unsyncedBytes < earlySyncBytes) return
    this.#unsyncedBytes = 0
    this.#syncEarly()
  }

  async settle(): Promise<void> {
    await Promise.all(this.#syncs)
    if (this.#failure) throw this.#failure.error
    await syncData(this.#fd)
  }

  async close(): Promise<void> {
    // The file must stay open until nothing is done with it: its descriptor number may be given to another file at once.
    await Promise.all(this.#syncs)
    await closeFile(this.#fd)
  }

  #syncEarly(): void {
    const sync = syncData(this.#fd)
      .catch((error: unknown) => {
        // It counts: the kernel reports a failed write-back once, and the last fdatasync would not see it.
        this.#failure ??= { error }
      })
      .finally(() => this.#syncs.delete(sync))
    this.#syncs.add(sync)
  }
}
