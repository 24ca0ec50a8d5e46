import type { TaskProgress } from '@berth/commands'

type Counter = { done: number; total: number | null }
const phases = ['tags', 'manifests', 'blobs', 'bytes'] as const

/** How far a run is, phase by phase; told to the task at each heartbeat. */
export type Progress = Record<(typeof phases)[number], Counter> & {
  /** Bytes that were fetched from upstream: `bytes` counts also those that were here. */
  fetchedBytes: number
  /** Manifests that were fetched from upstream: `manifests` counts also those that were here. */
  fetchedManifests: number
  /** That upstream wants to be left alone for a while. */
  pause: { until: Date; reason: string } | undefined
}

/** The progress of a run that has done nothing yet. */
export function newProgress(): Progress {
  const counter = () => ({ done: 0, total: null })
  return {
    tags: counter(),
    manifests: counter(),
    blobs: counter(),
    bytes: counter(),
    fetchedBytes: 0,
    fetchedManifests: 0,
    pause: undefined,
  }
}

/** The phase that a run is in: the last one that has begun and has not ended. */
export function currentPhase(progress: Progress): (typeof phases)[number] {
  return phases.findLast((phase) => isUnderWay(progress[phase])) ?? 'tags'
}

const rateOverMs = 10_000

/** Shows a run's progress, with the rate of the last ten seconds. Call it about once a second. */
export function createProgressView(progress: Progress, now: () => number = Date.now): () => TaskProgress[] {
  const samples: { at: number; bytes: number }[] = [{ at: now(), bytes: 0 }]
  return () => {
    const at = now()
    samples.push({ at, bytes: progress.fetchedBytes })
    while (samples.length > 2 && at - (samples[1]?.at ?? at) >= rateOverMs) samples.shift()
    const [first] = samples
    const seconds = first ? (at - first.at) / 1000 : 0
    const perSecond = seconds > 0 && first ? Math.round((progress.fetchedBytes - first.bytes) / seconds) : 0
    const isPaused = progress.pause !== undefined && progress.pause.until.getTime() > at
    const current = currentPhase(progress)
    return phases.map((phase) => ({
      phase,
      ...progress[phase],
      unit: phase,
      ...(phase === 'bytes' && isUnderWay(progress.bytes) ? rateOf(progress.bytes, perSecond) : {}),
      ...(phase === current && isPaused && progress.pause
        ? { pausedUntil: progress.pause.until.toISOString(), reason: progress.pause.reason }
        : {}),
    }))
  }
}

function isUnderWay({ done, total }: Counter): boolean {
  return total !== null && done < total
}

function rateOf({ done, total }: Counter, perSecond: number): Pick<TaskProgress, 'perSecond' | 'etaSeconds'> {
  return perSecond > 0 ? { perSecond, etaSeconds: Math.ceil(((total ?? done) - done) / perSecond) } : { perSecond }
}
