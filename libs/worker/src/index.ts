export { workerSettings } from './settings.ts'
export { type Outcome, startWorker, TaskCancelled, TaskLost, type Work } from './work.ts'
