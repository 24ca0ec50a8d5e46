import { runService } from '@berth/host'
import { createTasks } from './app.ts'
import { tasksSettings } from './config.ts'

await runService('tasks', tasksSettings, createTasks)
