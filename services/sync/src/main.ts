import { blobSettings, logHealing, openBlobStore } from '@berth/blobs'
import { runService } from '@berth/host'
import { withSecretsKey } from '@berth/service'
import { createSync } from './app.ts'
import { syncSettings } from './config.ts'

await runService('sync', { ...syncSettings, ...blobSettings }, async (config, parts) =>
  createSync(withSecretsKey(config), { ...parts, blobs: await openBlobStore(config, logHealing(parts.log), parts) }),
)
