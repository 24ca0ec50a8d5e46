import { createLogger, createMetrics, readConfig, runAlone } from '@berth/service'
import { createBuild } from './app.ts'
import { buildSettings } from './config.ts'

await runAlone(() => {
  const config = readConfig(buildSettings, process.env)
  const log = createLogger({ service: 'build', level: config.logLevel, output: config.logOutput })
  const metrics = createMetrics({ defaults: true })
  return { service: createBuild(config, { log, metrics }), log, metrics, ...config }
})
