export { createTasks } from './app.ts'
export { type TasksConfig, tasksSettings } from './config.ts'
