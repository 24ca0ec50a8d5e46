import { ownStoreSettings, withOwnStore } from '@berth/blobs'
import { runService } from '@berth/host'
import { createCatalog } from './app.ts'
import { catalogSettings } from './config.ts'

await runService('catalog', { ...catalogSettings, ...ownStoreSettings }, (config, parts) =>
  withOwnStore('catalog', config, parts, (blobs) => createCatalog(config, { ...parts, blobs })),
)
