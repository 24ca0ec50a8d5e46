import { ownStoreSettings, withOwnStore } from '@berth/blobs'
import { runService } from '@berth/host'
import { withSecretsKey } from '@berth/service'
import { createSync } from './app.ts'
import { syncSettings } from './config.ts'

await runService('sync', { ...syncSettings, ...ownStoreSettings }, (config, parts) =>
  withOwnStore('sync', config, parts, (blobs) => createSync(withSecretsKey(config), { ...parts, blobs })),
)
