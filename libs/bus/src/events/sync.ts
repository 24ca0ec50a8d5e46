import { defineEvent } from './event.ts'
import { count, names, owner, text, uuid } from './fields.ts'

const remote = { id: uuid, name: text, host: text, policy: text }

export type RemoteChanged = { id: string; name: string; host: string; policy: string }
export const remoteCreated = defineEvent<RemoteChanged & { ownerId?: string | null }>(
  'sync',
  'remote.created',
  'A remote was made.',
  { ...remote, ownerId: owner },
  ['ownerId'],
)
export const remoteUpdated = defineEvent<RemoteChanged>('sync', 'remote.updated', 'A remote was changed.', remote)
export const remoteDeleted = defineEvent<RemoteChanged & { ownerId?: string | null }>(
  'sync',
  'remote.deleted',
  'A remote was deleted.',
  { ...remote, ownerId: owner },
  ['ownerId'],
)

// Null where the repository would have been made with the first content, and none came.
const place = { anyOf: [uuid, { type: 'null' }] }
const run = { runId: uuid, remoteId: uuid, remote: text, repositoryId: place, repository: text, taskId: uuid }
type RunIds = {
  runId: string
  remoteId: string
  remote: string
  repositoryId: string | null
  repository: string
  taskId: string
}

export type RunStarted = RunIds & { mode: string }
export const runStarted = defineEvent<RunStarted>('sync', 'run.started', 'A sync run began to copy.', {
  ...run,
  mode: text,
})

export type RunProgressed = RunIds & {
  phase: string
  tagsDone: number
  tagsTotal: number | null
  manifestsDone: number
  manifestsTotal: number | null
  blobsDone: number
  blobsTotal: number | null
  bytes: number
}
// Null until it is known.
const total = { anyOf: [count, { type: 'null' }] }
export const runProgressed = defineEvent<RunProgressed>(
  'sync',
  'run.progressed',
  'How far a sync run is, every ten seconds while it gets further; `bytes` came from upstream.',
  {
    ...run,
    phase: text,
    tagsDone: count,
    tagsTotal: total,
    manifestsDone: count,
    manifestsTotal: total,
    blobsDone: count,
    blobsTotal: total,
    bytes: count,
  },
)

export type RunFailure = { ref: string; code: string; reason: string }
const failures = {
  type: 'array',
  maxItems: 100,
  items: {
    type: 'object',
    additionalProperties: false,
    properties: { ref: text, code: text, reason: text },
    required: ['ref', 'code', 'reason'],
  },
}
const changed = {
  type: 'object',
  additionalProperties: false,
  properties: { added: names, moved: names, removed: names },
  required: ['added', 'moved', 'removed'],
}
const changedCounts = {
  type: 'object',
  additionalProperties: false,
  properties: { added: count, moved: count, removed: count },
  required: ['added', 'moved', 'removed'],
}

export type RunCompleted = RunIds & {
  version: number
  /** Whether the run made this version; false when upstream had nothing new. */
  created: boolean
  tags: { added: string[]; moved: string[]; removed: string[] }
  tagCounts: { added: number; moved: number; removed: number }
  bytes: number
  durationMs: number
  failures: RunFailure[]
}
export const runCompleted = defineEvent<RunCompleted>(
  'sync',
  'run.completed',
  'A sync run ended well; the content is served.',
  {
    ...run,
    version: count,
    created: { type: 'boolean' },
    tags: changed,
    tagCounts: changedCounts,
    bytes: count,
    durationMs: count,
    failures,
  },
)

export type RunFailed = RunIds & { code: string; reason: string; failures: RunFailure[] }
export const runFailed = defineEvent<RunFailed>('sync', 'run.failed', 'A sync run ended without a change.', {
  ...run,
  code: text,
  reason: text,
  failures,
})
