import { type Loop, startLoop } from '@berth/bus'
import type { CommandClient, RegistryCommands } from '@berth/commands'
import type { Database, Logger } from '@berth/service'
import { evictAll } from './evict.ts'

const evictEveryMs = 60_000

/** Keeps pull-through distributions within the bytes they may hold. */
export function startEviction(deps: { db: Database; registry: CommandClient<RegistryCommands>; log: Logger }): Loop {
  const { db, registry, log } = deps
  return startLoop({
    pollMs: evictEveryMs,
    pauseAfterFailureMs: evictEveryMs,
    onError: (error) => log.warn('what was pulled least lately will be taken away later', { error }),
    run: async (signal) => {
      for await (const { repositoryId, revision, manifests } of evictAll(db, signal)) {
        log.info('what was pulled least lately was taken away', { repositoryId, manifests })
        await registry.call('follow-repository', { repositoryId, revision })
      }
    },
  })
}
