import { type AccessObject, decide, noRights, type Verb } from '@berth/access'
import type { AuthCommands, CatalogCommands, CommandClient } from '@berth/commands'
import { Problem } from '@berth/service'

type Deps = { auth: CommandClient<AuthCommands>; catalog: CommandClient<CatalogCommands> }
type Run = { actor: string; actorId: string | null; repositoryName: string }
type Source = { id: string; name: string; ownerId: string | null }

/**
 * Who started a run must have the right to it when it begins and when it commits, not only when it was asked for. Throws 403
 * `forbidden`; answers the account that owns what the run makes: `null` of robots and of Berth itself.
 */
export async function requireRunRights(
  { auth, catalog }: Deps,
  run: Run,
  remote: Source,
  signal: AbortSignal,
): Promise<string | null> {
  const { actorId, actor, repositoryName: name } = run
  if (actorId === null) return null
  const { principal } = await auth.call('principal-of', { accountId: actorId }, { signal })
  const rights = principal?.rights ?? noRights(null)
  const needs = (verb: Verb, object: AccessObject) => {
    if (decide(rights, verb, object).allowed) return
    throw new Problem(
      403,
      'forbidden',
      `${actor}, who started this, may not do it any more: that needs "${verb}" on ${object.kind} "${object.name}".`,
      { hint: 'Nothing of this sync is visible. Give the right back, or have it started by another one.' },
    )
  }
  needs('remote.use', { kind: 'remote', ...remote })
  const { repository } = await catalog.call('find-repository', { repository: name }, { signal })
  if (!repository) needs('repository.create', { kind: 'repository', name })
  needs('push', { kind: 'repository', name, id: repository?.id, ownerId: repository?.ownerId })
  return principal?.robot ? null : actorId
}
