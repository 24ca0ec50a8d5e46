import { createLogger, createMetrics, readConfig, runAlone } from '@berth/service'
import { createTasks } from './app.ts'
import { tasksSettings } from './config.ts'

await runAlone(() => {
  const config = readConfig(tasksSettings, process.env)
  const log = createLogger({ service: 'tasks', level: config.logLevel, output: config.logOutput })
  const metrics = createMetrics({ defaults: true })
  return { service: createTasks(config, { log, metrics }), log, metrics, ...config }
})
