import { blobSettings, logHealing, openBlobStore } from '@berth/blobs'
import { createLogger, createMetrics, readConfig, runAlone, withSecretsKey } from '@berth/service'
import { createSync } from './app.ts'
import { syncSettings } from './config.ts'

await runAlone(async () => {
  const config = withSecretsKey(readConfig({ ...syncSettings, ...blobSettings }, process.env))
  const log = createLogger({ service: 'sync', level: config.logLevel, output: config.logOutput })
  const metrics = createMetrics({ defaults: true })
  return {
    service: createSync(config, { log, metrics, blobs: await openBlobStore(config, logHealing(log)) }),
    log,
    metrics,
    ...config,
  }
})
