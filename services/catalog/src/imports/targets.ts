import { type AccessObject, decide, type Rights, type Verb } from '@berth/access'
import { isRepositoryName } from '@berth/oci'
import { badField, type Database, Problem } from '@berth/service'
import type { ExportedDistribution } from '../archives/document.ts'

/** How an import is to be put here. */
export type ImportWishes = {
  /** From names in the archive to names here; `*` at the end stands for the rest. */
  map?: Record<string, string>
  /** By names here: what becomes of a repository that has changed here. */
  onConflict?: Record<string, 'replace' | 'merge'>
  requireSignature?: boolean
}

/** The name here of what is called so in an archive: by the whole name, else by the longest beginning. Throws 400. */
export function mapName(map: Readonly<Record<string, string>>, name: string): string {
  const found = Object.hasOwn(map, name) ? map[name] : undefined
  if (found !== undefined) return found
  const patterns = Object.keys(map)
    .filter((pattern) => pattern.endsWith('*') && name.startsWith(pattern.slice(0, -1)))
    .sort((a, b) => b.length - a.length)
  const [longest] = patterns
  if (longest === undefined) return name
  return (map[longest] ?? '').replace('*', () => name.slice(longest.length - 1))
}

/** Checks a map as far as can be done without an archive. Throws 400 that names the entry. */
export function checkMap(map: Readonly<Record<string, string>>): void {
  for (const [from, to] of Object.entries(map)) {
    const field = `map[${JSON.stringify(from)}]`
    if (from.slice(0, -1).includes('*')) throw badField(field, 'has a * that is not at its end')
    if (to.split('*').length > 2 || (to.includes('*') && !from.endsWith('*')))
      throw badField(field, 'has a * for which nothing stands', 'For example {"team/*": "mirror/team/*"}.')
    if (!isRepositoryName(to.replace('*', 'x')))
      throw badField(field, `is ${JSON.stringify(to)}, which is no name of a repository`)
  }
}

export type Target = {
  /** In the archive, and here. */
  name: string
  target: string
  /** The repository, where there is one. */
  repository: { id: string; ownerId: string | null; latestVersion: number } | null
}

/** Where the repositories of an archive go. Throws 400 where two of them go to one, or a name is none. */
export async function findTargets(
  db: Database,
  names: readonly string[],
  map: Readonly<Record<string, string>>,
): Promise<Target[]> {
  const targets = names.map((name) => ({ name, target: mapName(map, name) }))
  const seen = new Map<string, string>()
  for (const { name, target } of targets) {
    if (!isRepositoryName(target))
      throw badField('map', `gives "${name}" the name ${JSON.stringify(target)}, which is none`)
    const other = seen.get(target)
    if (other !== undefined) throw badField('map', `sends both "${other}" and "${name}" to "${target}"`)
    seen.set(target, name)
  }
  const rows = await db.query<{ name: string; id: string; ownerId: string | null; latestVersion: number }>(
    `select name, id, owner_id as "ownerId", latest_version as "latestVersion"
     from repository
     where name = any($1::text[])`,
    [[...seen.keys()]],
  )
  const byName = new Map(rows.map(({ name, ...repository }) => [name, repository]))
  return targets.map(({ name, target }) => ({ name, target, repository: byName.get(target) ?? null }))
}

/** A target as an account may know it: a repository that it may neither pull nor push looks as if it were not there. */
export function asSeenBy(rights: Rights, target: Target): Target {
  const { repository, target: name } = target
  const object: AccessObject = { kind: 'repository', name, id: repository?.id, ownerId: repository?.ownerId }
  const isSeen = (['pull', 'push'] as const).some((verb) => decide(rights, verb, object).allowed)
  return isSeen ? target : { ...target, repository: null }
}

/** The verb that an account lacks to import into a repository; `undefined`: none. */
export function lackingVerb(rights: Rights, wanted: Target): Verb | undefined {
  const { target: name, repository } = asSeenBy(rights, wanted)
  const object: AccessObject = { kind: 'repository', name, id: repository?.id, ownerId: repository?.ownerId }
  const needed: Verb[] = repository ? ['push'] : ['repository.create', 'push']
  return needed.find((verb) => !decide(rights, verb, object).allowed)
}

/** The verb that an account lacks to have a distribution made as it is in the archive. */
export function lackingForDistribution(
  rights: Rights,
  { name: ownName, basePath: name, access }: ExportedDistribution,
  { target, repository }: Target,
): Verb | undefined {
  for (const one of [name, ownName])
    if (!decide(rights, 'distribution.create', { kind: 'distribution', name: one }).allowed)
      return 'distribution.create'
  const served: AccessObject = { kind: 'repository', name: target, id: repository?.id, ownerId: repository?.ownerId }
  // What is there is served on by those who may pull it, and not by those who may only push there.
  if (repository && !decide(rights, 'pull', served).allowed) return 'pull'
  if (access !== 'public') return undefined
  const [namespace = ''] = name.split('/', 1)
  const may =
    decide(rights, 'publish', { kind: 'namespace', name: namespace }).allowed &&
    decide(rights, 'publish', served).allowed
  return may ? undefined : 'publish'
}

/** Throws 403 for a verb that is lacking. */
export function refuseLacking(verb: Verb | undefined, target: string, who: string): void {
  if (verb === undefined) return
  throw new Problem(403, 'not_allowed', `${who} may not import into "${target}": that needs "${verb}".`, {
    hint: 'Ask an owner, or map it to another name: {"map": {"team/*": "mirror/team/*"}}.',
  })
}
