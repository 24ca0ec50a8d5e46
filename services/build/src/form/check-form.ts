import { type AccessObject, decide, hasAnywhere } from '@berth/access'
import type { CatalogCommands, CommandClient } from '@berth/commands'
import { noteAudit, notSeen, type Principal, Problem, requireVerb } from '@berth/service'
import type { BuildForm } from './fields.ts'

/** The repository that a build goes into; without an id it is made with the first image. */
export type Target = { id: string | null; name: string; ownerId: string | null }

const what = 'build images'

/** Refuses who may build nowhere, before any byte of the form is read. */
export function requireBuilder(principal: Principal): void {
  if (!hasAnywhere(principal.rights, 'build')) requireVerb(principal, 'build', { kind: 'repository', name: '*' }, what)
}

/** Refuses who may not build into the repository that the form names; one that may not be seen is not told to be there. */
export async function requireTarget(
  catalog: CommandClient<CatalogCommands>,
  principal: Principal,
  form: BuildForm,
): Promise<Target> {
  const { repository: name } = form
  const { repository } = await catalog.call('find-repository', { repository: name })
  const found = repository?.name === name ? repository : undefined
  const object: AccessObject = { kind: 'repository', name, id: found?.id, ownerId: found?.ownerId }
  noteAudit({ object: { kind: 'repository', id: found?.id ?? null, name }, detail: form.tags.join(' ') })
  const maySee = decide(principal.rights, 'read', object).allowed || decide(principal.rights, 'build', object).allowed
  if (found && !maySee) throw notSeen('repository', name)
  if (!found) requireVerb(principal, 'repository.create', object, what)
  requireVerb(principal, 'build', object, what)
  requireVerb(principal, 'push', object, what)
  if (form.network === 'egress') {
    requireVerb(principal, 'build.egress', object, 'build with a network')
    await requireEgress(catalog, name)
  }
  if (found) await catalog.call('check-tags', { repositoryId: found.id, tags: form.tags })
  return { id: found?.id ?? null, name, ownerId: found?.ownerId ?? null }
}

/** Refuses a network where the namespace has none for builds. */
export async function requireEgress(catalog: CommandClient<CatalogCommands>, repository: string): Promise<void> {
  const [namespace = ''] = repository.split('/', 1)
  const { isAllowed } = await catalog.call('check-build-egress', { namespace })
  if (isAllowed) return
  throw new Problem(403, 'egress_not_allowed', `Builds into the namespace "${namespace}" have no network.`, {
    field: 'network',
    hint: 'Send network=none; or an administrator sets buildEgress of the namespace.',
  })
}
