import { ownStoreSettings, withOwnStore } from '@berth/blobs'
import { runService } from '@berth/host'
import { withSecretsKey } from '@berth/service'
import { createBuild } from './app.ts'
import { buildSettings } from './config.ts'
import { searchHere } from './work/search-here.ts'

await runService('build', { ...buildSettings, ...ownStoreSettings }, (config, parts) => {
  const engine = { findEngine: searchHere(config) }
  // What builds nothing needs neither bytes nor keys.
  if (!config.builds) return createBuild(config, { ...parts, ...engine })
  return withOwnStore('build', config, parts, (blobs) =>
    createBuild(withSecretsKey(config), { ...parts, ...engine, blobs }),
  )
})
