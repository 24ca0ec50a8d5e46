import { setTimeout as pause } from 'node:timers/promises'
import { recordEvents, syncEvents } from '@berth/bus'
import type { Database, Logger } from '@berth/service'
import type { SyncRun } from '../db/generated/client.ts'
import { currentPhase, type Progress } from '../fetch/progress.ts'
import { actorOf, idsOf, placed } from './record-run.ts'

const usuallyEveryMs = 10_000

type Deps = { db: Database; log: Logger; everyMs?: number | undefined }

/**
 * Announces every ten seconds how far a run is, if it got further; its task tells it by the second. A run that is
 * shorter announces nothing. `stop` resolves when nothing more will be announced.
 */
export function announceProgress(
  { db, log, everyMs = usuallyEveryMs }: Deps,
  run: SyncRun,
  progress: Progress,
): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const { signal } = stopping
  const announce = async (last: string | undefined): Promise<string> => {
    const { tags, manifests, blobs, fetchedBytes } = progress
    const data = {
      ...idsOf(run),
      phase: currentPhase(progress),
      tagsDone: tags.done,
      tagsTotal: tags.total,
      manifestsDone: manifests.done,
      manifestsTotal: manifests.total,
      blobsDone: blobs.done,
      blobsTotal: blobs.total,
      bytes: fetchedBytes,
    }
    const now = JSON.stringify(data)
    if (now === last) return last
    await db.transaction((sql) =>
      recordEvents(sql, [{ kind: syncEvents.runProgressed, data, ...placed(run), actor: actorOf(run) }]),
    )
    return now
  }
  const done = (async () => {
    let last: string | undefined
    for (;;) {
      await pause(everyMs, undefined, { signal })
      try {
        last = await announce(last)
      } catch (error) {
        // How far it was is worth no run; the next one tells more.
        log.warn('the progress of a sync could not be announced', { runId: run.id, error })
      }
    }
  })().catch((error: unknown) => {
    if (!signal.aborted) log.error('the progress of a sync is announced no more', { runId: run.id, error })
  })
  return {
    stop: () => {
      stopping.abort()
      return done
    },
  }
}
