export { createTasks } from './app.ts'
export { type TasksConfig, taskSettings, tasksSettings } from './config.ts'
