export { createTasks } from './app.ts'
export { taskSettings } from './config.ts'
