import type { BlobStore } from '@berth/blobs'
import type { AuthCommands, ClaimedTask, CommandClient, SyncCommands } from '@berth/commands'
import { type Database, deriveId, type Logger } from '@berth/service'
import type { Note, Work } from '@berth/worker'
import { careRights, nowAndThen, type RequireRights } from '../care-rights.ts'
import type { LoneCleaner } from '../cleaner/lone-cleaner.ts'
import { ensureWrittenOut } from '../versions/ensure-written-out.ts'
import { type ReclaimResult, reclaim } from './reclaim.ts'
import { repair } from './repair.ts'
import { type ScrubResult, scrub } from './scrub.ts'
import { scrubRound } from './scrub-by-rounds.ts'
import type { Checked } from './scrub-rounds.ts'

type Deps = {
  db: Database
  blobs: BlobStore
  cleaner: LoneCleaner
  sync: CommandClient<SyncCommands>
  auth: CommandClient<AuthCommands>
  log: Logger
}

/** `since`: when the task was asked for, ISO 8601. */
export type ScrubPayload = { since: string; bytesPerSecond: number }
export type RepairPayload = { since: string; scope: { repositoryId: string; version?: number } | null }
export type ReclaimPayload = { repositoryId: string | null; unusedSeconds: number; dryRun: boolean }

/** Does the tasks of kind `scrub`, `repair` and `reclaim`. */
export function createMaintenanceWorks(deps: Deps): { scrub: Work; repair: Work; reclaim: Work } {
  const { db, blobs, log } = deps
  const follow = (report: (progress: () => { phase: string; done: number; total: null; unit: string }[]) => void) => {
    let seen: ScrubResult | undefined
    report(() => [{ phase: 'check', done: seen?.checkedBytes ?? 0, total: null, unit: 'bytes' }])
    return (result: ScrubResult) => {
      seen = result
    }
  }
  const begin = async (task: ClaimedTask, signal: AbortSignal): Promise<RequireRights> => {
    const require = careRights(deps.auth, task)
    await require(signal)
    return require
  }
  // What Berth begins by itself may take weeks, and is found where it was by whoever goes on with it.
  const round: Work = async (task, { signal, report, note }) => {
    let seen: Checked = { checked: 0, checkedBytes: 0, damaged: 0 }
    report(() => [
      { phase: 'check', done: seen.checked, total: null, unit: 'objects' },
      { phase: 'check', done: seen.checkedBytes, total: null, unit: 'bytes' },
    ])
    const { bytesPerSecond } = task.payload as ScrubPayload
    const onProgress = (checked: Checked) => {
      seen = checked
    }
    const holder = deriveId(`${task.id} ${task.fence}`)
    const result = await scrubRound({ db, blobs, log }, { holder, bytesPerSecond, signal, onProgress })
    noteDamage(note, result)
    return { state: 'completed', result }
  }
  return {
    scrub: async (task, { signal, report, note }) => {
      const { since, bytesPerSecond } = task.payload as ScrubPayload
      const mayGoOn = nowAndThen(await begin(task, signal))
      if (task.actor.id === null) return round(task, { signal, report, note })
      const onProgress = follow(report)
      const result = await scrub({
        db,
        blobs,
        log,
        since: new Date(since),
        bytesPerSecond,
        signal,
        onProgress,
        mayGoOn,
      })
      noteDamage(note, result)
      return { state: 'completed', result }
    },
    reclaim: async (task, { signal, report, note }) => {
      const mayRemove = await begin(task, signal)
      await deps.cleaner.assertAlone()
      let seen: ReclaimResult | undefined
      report(() => [{ phase: 'reclaim', done: seen?.reclaimedBytes ?? 0, total: null, unit: 'bytes' }])
      const onProgress = (result: ReclaimResult) => {
        seen = result
      }
      const { sync } = deps
      const result = await reclaim({
        db,
        blobs,
        sync,
        log,
        ...(task.payload as ReclaimPayload),
        signal,
        onProgress,
        mayRemove,
      })
      note(`${result.reclaimed} layers of ${result.reclaimedBytes} bytes ${result.dryRun ? 'would go' : 'went'}`)
      note(`${result.kept} layers of ${result.keptBytes} bytes stay, for no remote gives them now`)
      return { state: 'completed', result }
    },
    repair: async (task, { signal, report, note }) => {
      const { since, scope } = task.payload as RepairPayload
      const mayGoOn = nowAndThen(await begin(task, signal))
      if (scope) await ensureWrittenOut(db, scope.repositoryId)
      const scrubbing = {
        db,
        blobs,
        log,
        since: new Date(since),
        scope: scope ?? undefined,
        signal,
        onProgress: follow(report),
        mayGoOn,
      }
      const result = await repair({ ...scrubbing, sync: deps.sync, holder: `repair:${task.id}` })
      noteDamage(note, result)
      return { state: 'completed', result }
    },
  }
}

const mostNoted = 100

function noteDamage(
  note: Note,
  { checked, checkedBytes, missing, rotten, unreadable, found, damaged }: ScrubResult,
): void {
  note(`${checked} objects of ${checkedBytes} bytes were looked at`)
  if (found > 0) note(`${found} that were missing are there again`)
  if (unreadable > 0) note(`${unreadable} could not be read now`, { level: 'warn' })
  if (missing + rotten > 0) note(`${missing} are missing and ${rotten} rotten`, { level: 'error' })
  for (const { digest, damage } of damaged.slice(0, mostNoted)) note(`${digest} is ${damage}`, { level: 'error' })
}
