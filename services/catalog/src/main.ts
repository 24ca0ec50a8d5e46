import { createLogger, createMetrics, readConfig, runAlone } from '@berth/service'
import { createCatalog } from './app.ts'
import { catalogSettings } from './config.ts'

await runAlone(() => {
  const config = readConfig(catalogSettings, process.env)
  const log = createLogger({ service: 'catalog', level: config.logLevel })
  const metrics = createMetrics({ defaults: true })
  return { service: createCatalog(config, { log, metrics }), log, metrics, ...config }
})
