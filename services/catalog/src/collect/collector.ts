import type { BlobStore } from '@berth/blobs'
import type { Database, Logger } from '@berth/service'
import type { RequireRights } from '../care-rights.ts'
import type { LoneCleaner } from '../cleaner/lone-cleaner.ts'
import { type CollectResult, collect } from './collect.ts'
import { endRun, type Run } from './runs.ts'

export type CollectorDeps = {
  db: Database
  blobs: BlobStore
  cleaner: LoneCleaner
  log: Logger
}

/** Carries out a run that has begun, and notes how it ended. Throws what ended it. */
export async function carryOutRun(
  deps: CollectorDeps,
  run: Run,
  {
    onFailure,
    ...options
  }: {
    graceSeconds: number
    signal: AbortSignal
    onProgress?: (result: CollectResult) => void
    onFailure?: (error: unknown) => void
    mayRemove?: RequireRights
  },
): Promise<CollectResult> {
  const { db, blobs, log } = deps
  try {
    await deps.cleaner.assertAlone()
    const result = await collect({
      db,
      blobs,
      ...options,
      thorough: run.thorough,
      onFailure: (error) => {
        onFailure?.(error)
        log.warn('something could not be collected now', { runId: run.id, error })
      },
    })
    await endRun(db, run, result)
    log.info('store collected', { runId: run.id, ...result })
    return result
  } catch (error) {
    await endRun(db, run, error instanceof Error ? error : new Error(String(error)))
    throw error
  }
}
