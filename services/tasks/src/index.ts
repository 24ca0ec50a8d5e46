export { createTasks } from './app.ts'
export { auditSettings, taskSettings } from './config.ts'
