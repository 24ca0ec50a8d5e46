import type { TaskProgress } from '@berth/commands'

type Counter = { done: number; total: number | null }

/** How far a run is, phase by phase; told to the task at each heartbeat. */
export type Progress = { tags: Counter; manifests: Counter; blobs: Counter; bytes: Counter }

export function newProgress(): Progress {
  const counter = () => ({ done: 0, total: null })
  return { tags: counter(), manifests: counter(), blobs: counter(), bytes: counter() }
}

const units: Record<keyof Progress, string> = { tags: 'tags', manifests: 'manifests', blobs: 'blobs', bytes: 'bytes' }

export function showProgress(progress: Progress): TaskProgress[] {
  return Object.entries(progress).map(([phase, { done, total }]) => ({
    phase,
    done,
    total,
    unit: units[phase as keyof Progress],
  }))
}
