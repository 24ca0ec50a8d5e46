import { createHost } from '@berth/host'
import type { Service, ServiceParts } from '@berth/service'
import { buildHandlers } from './api.ts'
import type { BuildConfig } from './config.ts'
import { openPrisma } from './db/client.ts'
import { schemaParts } from './db/schema-parts.ts'

/** Builds the build service: what was built, by whom, and what came of it. */
export function createBuild(config: BuildConfig, parts: ServiceParts): Service {
  const host = createHost({
    name: 'build',
    source: import.meta.url,
    schemaParts,
    config,
    peers: ['auth'],
    parts,
    connections: 4,
  })
  return host.service({ public: { handlers: buildHandlers(openPrisma(host.db)) }, commands: {} })
}
