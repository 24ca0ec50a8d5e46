import { decide, type Rights, toSql } from '@berth/access'
import { badField, type Database, isUuid, notSeen, type Principal, Problem } from '@berth/service'
import { mostRepositories } from '../archives/document.ts'
import { parseSelector, selectorCondition } from '../settings/label-selector.ts'
import { readExport, type Selected } from './export-row.ts'
import { maySee } from './may-see.ts'

/** A repository as a request names it. */
export type Named = { name: string; version?: number; since?: { version: number } | { export: string } }
type Found = { id: string; name: string; ownerId: string | null; latestVersion: number }

/** The latest versions of all repositories with these labels that somebody may pull. Throws 422 when there are none, or too many. */
export async function selectByLabels(db: Database, selector: string, rights: Rights): Promise<Selected[]> {
  const values: unknown[] = [mostRepositories + 1]
  const condition = selectorCondition('labels', parseSelector(selector, 'selector'), values)
  const pullable = toSql(rights, 'pull', 'repository', { name: 'name', id: 'id', owner: 'owner_id' }, values.length + 1)
  const found = await db.query<Found>(
    `select id, name, owner_id as "ownerId", latest_version as "latestVersion"
     from repository
     where ${condition}
       and ${pullable.condition}
     order by name
     limit $1`,
    [...values, ...pullable.values],
  )
  if (found.length === 0)
    throw new Problem(422, 'nothing_selected', 'No repository that you may pull has these labels.', {
      field: 'selector',
      hint: 'GET /repositories?labels= shows which there are.',
    })
  if (found.length > mostRepositories)
    throw new Problem(422, 'too_many_repositories', `An archive holds ${mostRepositories} repositories at most.`, {
      field: 'selector',
      hint: 'Export fewer at a time.',
    })
  return withVersions(
    db,
    found.map((one) => ({ ...one, numbers: [one.latestVersion], since: null })),
  )
}

/** What a request names, each by a name or an id. Throws 404 for what is not there or may not be pulled, and for versions. */
export async function selectNamed(db: Database, wanted: readonly Named[], principal: Principal): Promise<Selected[]> {
  const names = [...new Set(wanted.map(({ name }) => name))]
  const found = await db.query<Found>(
    `select id, name, owner_id as "ownerId", latest_version as "latestVersion"
     from repository
     where name = any($1::text[])
       or id = any($2::uuid[])`,
    [names, names.filter(isUuid)],
  )
  const chosen = new Map<string, Found & { numbers: number[]; since: Named['since'] | null }>()
  for (const [at, { name, version, since }] of wanted.entries()) {
    const one = found.find((row) => row.name === name || row.id === name)
    if (!one || !decide(principal.rights, 'pull', { kind: 'repository', ...one }).allowed)
      throw notSeen('repository', name)
    const before = chosen.get(one.id)
    if (since && before?.since)
      throw badField(`repositories[${at}].since`, `is the second of "${one.name}"`, 'A delta has one base.')
    const numbers = [...(before?.numbers ?? []), version ?? one.latestVersion]
    chosen.set(one.id, { ...one, numbers, since: since ?? before?.since ?? null })
  }
  const bases = await Promise.all(
    [...chosen.values()].map(async (one) => ({ ...one, since: await baseOf(db, one, principal) })),
  )
  return withVersions(db, bases)
}

/** The version that a delta stands on. Throws 404 for an export that is not there, or has nothing of the repository. */
async function baseOf(
  db: Database,
  { id, name, since }: Found & { since: Named['since'] | null },
  principal: Principal,
): Promise<number | null> {
  if (!since) return null
  if ('version' in since) return since.version
  const row = isUuid(since.export) ? await readExport(db, since.export) : undefined
  if (!row || !maySee(principal, row)) throw notSeen('export', since.export)
  const [base] = await db.query<{ number: number }>(
    `select number
     from export_repository
     join export on export.id = export_id
     where export_id = $1
       and repository_id = $2
       and state = 'completed'`,
    [since.export, id],
  )
  if (base) return base.number
  throw new Problem(409, 'base_missing', `Export ${since.export} carried nothing of "${name}".`, {
    field: 'repositories',
    hint: 'Name an export that was completed and has it, or export it in full.',
  })
}

type Chosen = Found & { numbers: number[]; since: number | null }

async function withVersions(db: Database, chosen: readonly Chosen[]): Promise<Selected[]> {
  const asked = chosen.flatMap(({ id, numbers, since }) =>
    [...numbers, ...(since === null ? [] : [since])].map((number) => ({ id, number })),
  )
  const versions = await db.query<{ id: string; number: number; contentHash: string }>(
    `select repository_id as id, version.number, content_hash as "contentHash"
     from unnest($1::uuid[], $2::integer[]) as asked (id, number)
     join version on version.repository_id = asked.id and version.number = asked.number`,
    [asked.map(({ id }) => id), asked.map(({ number }) => number)],
  )
  const hashes = new Map(versions.map(({ id, number, contentHash }) => [`${id} ${number}`, contentHash]))
  const hashOf = (id: string, name: string, number: number) => {
    const hash = hashes.get(`${id} ${number}`)
    if (hash !== undefined) return hash
    throw new Problem(404, 'version_not_found', `"${name}" has no version ${number}.`, {
      field: 'repositories',
      hint: 'GET /repositories/{repository}/versions shows which there are; of a delta whose base is gone export all.',
    })
  }
  return chosen
    .map(({ id, name, numbers, since }) => {
      const [number = 0, ...facts] = [...new Set(numbers)].sort((a, b) => b - a)
      if (since !== null && since > number)
        throw badField('repositories', `has version ${since} of "${name}" as the base of version ${number}`)
      for (const fact of facts) hashOf(id, name, fact)
      return {
        id,
        name,
        number,
        contentHash: hashOf(id, name, number),
        since,
        sinceHash: since === null ? null : hashOf(id, name, since),
        facts: facts.reverse(),
      }
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}
