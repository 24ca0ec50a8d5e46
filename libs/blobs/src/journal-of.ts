import { type Logger, StartupError } from '@berth/service'
import type { JournalOptions } from './file-system/journal.ts'
import { replayJournals } from './file-system/replay.ts'
import { BlobStoreError } from './store/errors.ts'

/** The journal of a process, which tells the log what becomes of it. */
export function journalOf(owner: string, log: Logger, { isAlone = false } = {}): JournalOptions {
  return {
    owner,
    isAlone,
    hear: (report) => {
      if (report.state === 'kept')
        log.error('the files of small blobs cannot be flushed; their journal is kept, and replayed by the next start', {
          error: report.error,
          remedy: 'check the disk, then start Berth again',
        })
      else
        log.error('a journal of small blobs was taken away: another Berth works on the directory of the blobs', {
          remedy: 'let it have a directory of its own, or set BERTH_BLOBS_JOURNAL=false wherever one is shared',
        })
    },
  }
}

/**
 * Makes durable what dead processes had in their journals: one, all of a home, or all there are. Before anything that reads it
 * starts. Answers the names of what it has left, which is of others. Throws `StartupError` with the remedy.
 */
export async function replayBlobJournals(directory: string, log: Logger, owner: string | undefined): Promise<string[]> {
  try {
    const { foreign, ...replayed } = await replayJournals(directory, owner)
    if (replayed.logs > 0) log.warn('the journal of small blobs was replayed', replayed)
    return foreign
  } catch (cause) {
    if (!(cause instanceof BlobStoreError)) throw cause
    throw new StartupError(
      `the journal of the blob store cannot be replayed: ${cause.message}`,
      'check the directory, its rights and its disk; the journal is kept',
      { cause },
    )
  }
}
