import { type AccessObject, decide, noRights, type Rights, type Verb } from '@berth/access'
import type { AuthCommands, CatalogCommands, CommandClient } from '@berth/commands'
import { Problem } from '@berth/service'
import type { Build } from '../builds/build-row.ts'
import { requireEgress } from '../form/check-form.ts'

type Deps = { auth: CommandClient<AuthCommands>; catalog: CommandClient<CatalogCommands> }

/**
 * Who started a build must have the right to it when it begins and when it is committed. Throws 403 `forbidden`; answers its rights, and the
 * account that owns what the build makes: `null` of robots.
 */
export async function requireBuildRights(
  { auth, catalog }: Deps,
  { createdBy, createdById, repository: name, repositoryId, network }: Build,
  signal: AbortSignal,
): Promise<{ rights: Rights; ownerId: string | null }> {
  const { principal } = createdById
    ? await auth.call('principal-of', { accountId: createdById }, { signal })
    : { principal: undefined }
  const rights = principal?.rights ?? noRights(null)
  const needs = (verb: Verb, object: AccessObject) => {
    if (decide(rights, verb, object).allowed) return
    throw new Problem(
      403,
      'forbidden',
      `${createdBy}, who started this, may not do it any more: that needs "${verb}" on ${object.kind} "${object.name}".`,
      { hint: 'Nothing of this build is visible. Give the right back, or have it started by another one.' },
    )
  }
  const { repository } = await catalog.call('find-repository', { repository: repositoryId ?? name }, { signal })
  if (repositoryId !== null && !repository)
    throw new Problem(404, 'repository_not_found', `The repository "${name}" was deleted.`, {
      hint: 'Nothing of this build is visible.',
    })
  const object: AccessObject = { kind: 'repository', name, id: repository?.id, ownerId: repository?.ownerId }
  if (!repository) needs('repository.create', object)
  needs('build', object)
  needs('push', object)
  if (network === 'egress') {
    needs('build.egress', object)
    await requireEgress(catalog, name)
  }
  return { rights, ownerId: principal?.robot ? null : createdById }
}
