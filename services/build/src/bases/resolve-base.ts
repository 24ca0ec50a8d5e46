import { type AccessObject, decide, type Rights } from '@berth/access'
import type { CatalogCommands, CommandClient, SyncCommands } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { type Actor, Problem } from '@berth/service'
import type { Place, Reference } from './references.ts'

export type ResolveDeps = {
  catalog: CommandClient<CatalogCommands>
  sync: CommandClient<SyncCommands>
  /** Who builds, and what is granted to it now. */
  actor: Actor
  rights: Rights
}
type Served = CatalogCommands['find-served']['reply']
type PullThrough = NonNullable<Served['pullThrough']>

/** Where an image lies that a Containerfile names. */
export type FoundBase = { basePath: string; repositoryId: string; digest: Digest }

// What is pulled through has its first manifest within this, as for a client of the registry.
const pullThroughPatienceMs = 120_000

/** Finds an image among what the actor may pull here; what a host has is fetched where a pull of the actor would fetch it. */
export async function resolveBase(deps: ResolveDeps, reference: Reference, signal: AbortSignal): Promise<FoundBase> {
  for (const place of reference.places) {
    const found = await findAt(deps, place, signal)
    if (found) return found
  }
  throw missing(reference)
}

/** Refuses an image that nothing here can give to the actor, without waiting for a host that may. */
export async function requireResolvable(
  deps: Omit<ResolveDeps, 'sync'>,
  reference: Reference,
  signal: AbortSignal,
): Promise<void> {
  for (const place of reference.places) {
    const served = await deps.catalog.call('find-served', place, { signal })
    if (!mayPull(deps.rights, place.basePath, served)) continue
    if (foundIn(place, served) || (served.pullThrough && mayTrigger(deps.actor, served.pullThrough))) return
  }
  throw missing(reference)
}

/** What is at one place; `undefined` also of what the actor may not pull. */
export async function findAt(deps: ResolveDeps, place: Place, signal: AbortSignal): Promise<FoundBase | undefined> {
  const { catalog, actor, rights } = deps
  const served = await catalog.call('find-served', place, { signal })
  if (!mayPull(rights, place.basePath, served)) return undefined
  const { pullThrough } = served
  const isHere = served.distribution !== null && served.digest !== null
  if (pullThrough && mayTrigger(actor, pullThrough) && !(isHere && place.digest)) {
    const isFetched = await pullThroughNow(deps, place, pullThrough, { isHere, signal })
    if (isFetched) return foundIn(place, await catalog.call('find-served', place, { signal }))
  }
  return foundIn(place, served)
}

function foundIn({ basePath }: Place, { distribution, digest }: Served): FoundBase | undefined {
  return distribution && digest ? { basePath, repositoryId: distribution.repositoryId, digest } : undefined
}

/** Has sync fetch it. Where the host gives nothing, what is here already counts, as for a client of the registry. */
async function pullThroughNow(
  { sync, actor }: ResolveDeps,
  { basePath, tag, digest }: Place,
  { id, remoteId, host, basePath: above }: PullThrough,
  { isHere, signal }: { isHere: boolean; signal: AbortSignal },
): Promise<boolean> {
  const request = {
    via: id,
    remoteId,
    host,
    upstreamName: basePath.slice(above.length + 1),
    name: basePath,
    reference: digest ?? tag ?? 'latest',
    actor,
  }
  try {
    await sync.call('pull-through', request, { signal, timeoutMs: pullThroughPatienceMs })
    return true
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof Problem)) throw error
    if (error.code === 'manifest_not_found' || isHere) return false
    throw error
  }
}

/** As a token for a pull is given: by the right on the distribution, or on that of the host. */
function mayPull(rights: Rights, basePath: string, { distribution, pullThrough }: Served): boolean {
  const may = (object: AccessObject) => decide(rights, 'pull', object).allowed
  return (
    may({ kind: 'distribution', name: basePath, ...distribution }) ||
    (pullThrough !== null && may({ kind: 'distribution', ...pullThrough, name: pullThrough.basePath }))
  )
}

function mayTrigger({ id }: Actor, { trigger }: PullThrough): boolean {
  if (trigger === 'anonymous') return true
  if (id === null) return false
  return trigger === 'users' || trigger.some((one) => one.id === id)
}

function missing({ text, line, places }: Reference): Problem {
  const [first] = places
  const where = first ? `"${first.basePath}" has none that you may pull` : 'it is of a registry that has no name here'
  return new Problem(400, 'base_not_found', `Containerfile:${line}: there is no image ${text} in Berth: ${where}.`, {
    field: 'containerfile',
    more: { line },
    hint:
      'Builds take images from Berth only. Mirror it (POST /api/v1/remotes, then POST /api/v1/syncs) or pull it through ' +
      '(POST /api/v1/distributions with pullThrough), and name it as it is served here; or have BERTH_BUILD_ALIASES say what its name means.',
  })
}
