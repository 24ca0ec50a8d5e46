import { blobSettings, logHealing, openBlobStore } from '@berth/blobs'
import { runService } from '@berth/host'
import { createRegistry } from './app.ts'
import { registrySettings } from './config.ts'

await runService('registry', { ...registrySettings, ...blobSettings }, async (config, parts) =>
  createRegistry(config, { ...parts, blobs: await openBlobStore(config, logHealing(parts.log), parts) }),
)
