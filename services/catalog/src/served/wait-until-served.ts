import type { CommandClient, RegistryCommands, ServedDistribution, ServedPullThrough } from '@berth/commands'
import { Problem } from '@berth/service'

const patienceMs = 10_000
// All of a very large repository is read and written.
const rebuildPatienceMs = 120_000

/**
 * Waits until registry serves a change, so that a client that is told of a success can read it. The change itself
 * is committed and stays: after ten seconds the answer is 503 `not_yet_served`, with the version that will be.
 */
export type ServedGate = {
  repository(repositoryId: string, revision: number, version?: number): Promise<void>
  /** Has registry write all it knows of a repository anew. */
  rebuilt(repositoryId: string, revision: number): Promise<void>
  distribution(distribution: ServedDistribution): Promise<void>
  pullThrough(distribution: ServedPullThrough): Promise<void>
  namespace(name: string): Promise<void>
  repositoryGone(repositoryId: string): Promise<void>
}

export function createServedGate(registry: CommandClient<RegistryCommands>): ServedGate {
  const wait = async (call: Promise<unknown>, more: Record<string, unknown> = {}) => {
    try {
      await call
    } catch (cause) {
      throw new Problem(503, 'not_yet_served', 'The change is made, but the registry does not serve it yet.', {
        hint: 'It will by itself as soon as the registry answers again; do not repeat the change.',
        headers: { 'retry-after': '5' },
        more,
        cause,
      })
    }
  }
  const options = { timeoutMs: patienceMs }
  return {
    repository: (repositoryId, revision, version) =>
      wait(
        registry.call('follow-repository', { repositoryId, revision }, options),
        version === undefined ? {} : { version },
      ),
    rebuilt: (repositoryId, revision) =>
      wait(registry.call('rebuild-repository', { repositoryId, revision }, { timeoutMs: rebuildPatienceMs })),
    distribution: (distribution) => wait(registry.call('follow-distribution', distribution, options)),
    pullThrough: (distribution) => wait(registry.call('follow-pull-through', distribution, options)),
    namespace: (name) => wait(registry.call('follow-namespace', { name }, options)),
    repositoryGone: (repositoryId) => wait(registry.call('forget-repository', { repositoryId }, options)),
  }
}
