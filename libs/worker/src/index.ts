export { type ErrorOutcome, type Outcome, outcomeOfError, TaskLost } from './outcome.ts'
export { workerSettings } from './settings.ts'
export { startWorker, type Work } from './work.ts'
