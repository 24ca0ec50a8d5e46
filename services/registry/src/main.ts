import { blobSettings, logHealing, openBlobStore } from '@berth/blobs'
import { createLogger, createMetrics, readConfig, runAlone } from '@berth/service'
import { createRegistry } from './app.ts'
import { registrySettings } from './config.ts'

await runAlone(async () => {
  const config = readConfig({ ...registrySettings, ...blobSettings }, process.env)
  const log = createLogger({ service: 'registry', level: config.logLevel, output: config.logOutput })
  const metrics = createMetrics({ defaults: true })
  return {
    service: createRegistry(config, { log, metrics, blobs: await openBlobStore(config, logHealing(log)) }),
    log,
    metrics,
    ...config,
  }
})
