import { ownStoreSettings, withOwnStore } from '@berth/blobs'
import { runService } from '@berth/host'
import { createRegistry } from './app.ts'
import { registrySettings } from './config.ts'

await runService('registry', { ...registrySettings, ...ownStoreSettings }, (config, parts) =>
  withOwnStore('registry', config, parts, (blobs) => createRegistry(config, { ...parts, blobs })),
)
