export { type ErrorOutcome, type Outcome, outcomeOfError, TaskLost } from './outcome.ts'
export { workerSettings } from './settings.ts'
export type { Note } from './task-log.ts'
export { startWorker, type Work } from './work.ts'
