import { blobSettings, logHealing, openBlobStore } from '@berth/blobs'
import { runService } from '@berth/host'
import { createCatalog } from './app.ts'
import { catalogSettings } from './config.ts'

await runService('catalog', { ...catalogSettings, ...blobSettings }, async (config, parts) =>
  createCatalog(config, { ...parts, blobs: await openBlobStore(config, logHealing(parts.log), parts) }),
)
