import { runService } from '@berth/host'
import { withSecretsKey } from '@berth/service'
import { createTasks } from './app.ts'
import { tasksSettings } from './config.ts'

await runService('tasks', tasksSettings, (config, parts) => createTasks(withSecretsKey(config), parts))
