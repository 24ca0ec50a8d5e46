import { type CommandHandlers, commandHandlers, type RegistryCommands } from '@berth/commands'
import type { InternalHandler } from '@berth/service'
import type { Follower } from './model/follow.ts'
import type { Isolation } from './model/isolation.ts'

/** What other services may have registry do. */
export function registryCommands(follower: Follower, isolation: Isolation): Record<string, InternalHandler> {
  const handlers: CommandHandlers<RegistryCommands> = {
    'follow-repository': async ({ repositoryId, revision }) => {
      await follower.follow(repositoryId, revision)
      return {}
    },
    'rebuild-repository': async ({ repositoryId, revision }) => {
      await follower.rebuild(repositoryId, revision)
      return {}
    },
    'follow-distribution': async (distribution) => {
      await follower.followDistribution(distribution)
      return {}
    },
    'follow-pull-through': async (distribution) => {
      await follower.followPullThrough(distribution)
      return {}
    },
    'follow-namespace': async ({ name }) => {
      await follower.followNamespace(name)
      return {}
    },
    'list-isolated-repositories': async ({ limit }) => ({ repositories: await isolation.list(limit) }),
    'forget-repository': async ({ repositoryId }) => {
      await follower.forget(repositoryId)
      return {}
    },
  }
  return commandHandlers(handlers)
}
