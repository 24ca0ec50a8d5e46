export { createTasks } from './app.ts'
export { auditSettings, taskSettings } from './config.ts'
export { scheduleSettings } from './schedules/default-schedules.ts'
