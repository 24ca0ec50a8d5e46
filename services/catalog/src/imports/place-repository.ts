import type { ServedDistribution } from '@berth/commands'
import { type Actor, Problem, type Transaction } from '@berth/service'
import type { ExportedDistribution, ExportedRepository } from '../archives/document.ts'
import { insertDistribution } from '../distributions/write.ts'
import { ensureServed, insertRepository } from '../repositories/ensure.ts'
import { checkSettings, defaultSettings } from '../repositories/settings.ts'
import { distributionsOf } from '../served/rows.ts'
import { lockRepositoryNamed } from '../versions/repository-lock.ts'

export type Placing = {
  target: string
  exported: ExportedRepository | null
  /** What of the distributions in the archive is to be made, under their names here. */
  distributions: readonly ExportedDistribution[]
  actor: Actor
  ownerId: string | null
}

/** What is there of the repository that content goes to. */
export type Placed = { id: string; ownerId: string | null; isNew: boolean }

/**
 * Makes the repository that content goes to where there is none, as it is described in the archive, and served as it was there: else under
 * its own name, as a first push does. It is there only if the content comes too, which is put in by the same transaction.
 */
export async function placeRepository(
  sql: Transaction,
  { target: name, exported, distributions, actor, ownerId }: Placing,
): Promise<Placed> {
  const known = await lockRepositoryNamed(sql, name)
  if (known) {
    const [row] = await sql.query<{ ownerId: string | null }>(
      'select owner_id as "ownerId" from repository where id = $1',
      [known.id],
    )
    return { id: known.id, ownerId: row?.ownerId ?? null, isNew: false }
  }
  const { description = '', labels = {}, immutableTags = [] } = exported ?? {}
  const settings = checkSettings({ ...defaultSettings, description, labels, immutableTags })
  const id = await insertRepository(sql, { name, settings, actor, ownerId })
  if (id === undefined)
    throw new Problem(503, 'repository_just_made', `"${name}" is being made by somebody else.`, {
      headers: { 'retry-after': '0' },
    })
  // One that is pinned waits for the version.
  for (const one of distributions.filter(({ version }) => version === undefined))
    await makeDistribution(sql, id, one, { actor, ownerId, version: null })
  await ensureServed(sql, { id, name, actor, ownerId })
  return { id, ownerId, isNew: true }
}

/** Makes the distributions that are missing, when the version is there. Answers all of the repository where it made one. */
export async function placeDistributions(
  sql: Transaction,
  { id, version }: { id: string; version: number },
  { exported, distributions, actor, ownerId }: Placing,
): Promise<ServedDistribution[]> {
  let made = 0
  for (const one of distributions) {
    // A number of a version counts where it was given; the content of this one is here under another.
    if (one.version !== undefined && one.version !== exported?.version.number) continue
    const pin = one.version === undefined ? null : version
    if (await makeDistribution(sql, id, one, { actor, ownerId, version: pin })) made++
  }
  return made > 0 ? distributionsOf(sql, id) : []
}

async function makeDistribution(
  sql: Transaction,
  repositoryId: string,
  { name, basePath, access, redirect, convertToSchema1, warning }: ExportedDistribution,
  { actor, ownerId, version }: { actor: Actor; ownerId: string | null; version: number | null },
): Promise<boolean> {
  const [taken] = await sql.query('select from distribution where base_path = $1 or name = $2', [basePath, name])
  if (taken) return false
  const wanted = { name, basePath, access, redirect, convertToSchema1, version, warning: warning ?? null }
  await insertDistribution(sql, wanted, { repositoryId }, { actor, ownerId })
  return true
}
