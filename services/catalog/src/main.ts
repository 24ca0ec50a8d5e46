import { blobSettings, logHealing, openBlobStore } from '@berth/blobs'
import { createLogger, createMetrics, readConfig, runAlone } from '@berth/service'
import { createCatalog } from './app.ts'
import { catalogSettings } from './config.ts'

await runAlone(async () => {
  const config = readConfig({ ...catalogSettings, ...blobSettings }, process.env)
  const log = createLogger({ service: 'catalog', level: config.logLevel, output: config.logOutput })
  const metrics = createMetrics({ defaults: true })
  return {
    service: createCatalog(config, { log, metrics, blobs: await openBlobStore(config, logHealing(log)) }),
    log,
    metrics,
    ...config,
  }
})
