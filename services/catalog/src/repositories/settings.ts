import { catalogEvents, recordEvents } from '@berth/bus'
import { checkRequiredSignatures, type RequiredSignatures } from '@berth/commands'
import { type Database, notFound, type Transaction } from '@berth/service'
import { checkLabels } from '../settings/check-labels.ts'
import { checkPattern, checkRetention, type Retention } from '../settings/retention-rules.ts'

/** What can be set about a repository. */
export type RepositorySettings = {
  description: string
  labels: Record<string, string>
  /** Patterns of tags that may be made but neither moved nor deleted. */
  immutableTags: string[]
  /** Whether an index may lack some of the manifests it names. */
  sparseIndexes: boolean
  /** How many of the newest versions are kept; null keeps all. */
  retainVersions: number | null
  /** Which tags and manifests go by themselves; null: what the namespace says. */
  retention: Retention | null
  /** Whose signatures content must have that comes from upstream; null asks for none. */
  signatures: RequiredSignatures | null
}

export const defaultSettings: RepositorySettings = {
  description: '',
  labels: {},
  immutableTags: [],
  sparseIndexes: false,
  retainVersions: null,
  retention: null,
  signatures: null,
}

/** Checks what the schema of the API cannot. Throws 400 that names the field. */
export function checkSettings<Given extends Partial<RepositorySettings>>(given: Given): Given {
  for (const [i, pattern] of (given.immutableTags ?? []).entries()) checkPattern(pattern, `immutableTags[${i}]`)
  if (given.labels) checkLabels(given.labels)
  if (given.retention) checkRetention(given.retention)
  if (given.signatures) checkRequiredSignatures(given.signatures)
  return given
}

/** Keys may be longer than an event. */
type Announced = Omit<RepositorySettings, 'signatures'> & { name: string; requiresSignatures: boolean }

/** Changes the settings that are given, and announces all of them as they are then. Throws 404. */
export async function updateSettings(
  sql: Transaction,
  id: string,
  changes: Partial<RepositorySettings>,
  actor: string,
): Promise<void> {
  const { description = null, labels, immutableTags = null, sparseIndexes = null } = changes
  const { retainVersions, retention, signatures } = changes
  const [row] = await sql.query<Announced>(
    `update repository
     set
       description = coalesce($2, description),
       labels = coalesce($3, labels),
       immutable_tags = coalesce($4, immutable_tags),
       sparse_indexes = coalesce($5, sparse_indexes),
       retain_versions = case when $6 then $7::integer else retain_versions end,
       retention = case when $8 then $9::jsonb else retention end,
       signatures = case when $10 then $11::jsonb else signatures end
     where id = $1
     returning name, description, labels, immutable_tags as "immutableTags", sparse_indexes as "sparseIndexes",
       retain_versions as "retainVersions", retention,
       coalesce((signatures ->> 'require')::boolean, false) as "requiresSignatures"`,
    [
      id,
      description,
      labels === undefined ? null : JSON.stringify(labels),
      immutableTags,
      sparseIndexes,
      retainVersions !== undefined,
      retainVersions ?? null,
      retention !== undefined,
      retention ? JSON.stringify(retention) : null,
      signatures !== undefined,
      signatures ? JSON.stringify(signatures) : null,
    ],
  )
  if (!row) throw notFound('repository', id)
  const data = { repositoryId: id, ...row }
  await recordEvents(sql, [{ kind: catalogEvents.repositoryUpdated, data, repositoryId: id, actor }])
}

/** Whose signatures content must have that comes from upstream into a repository, by id or name; `null` also when it is not there. */
export async function requiredSignatures(db: Database, idOrName: string): Promise<RequiredSignatures | null> {
  const [row] = await db.query<{ signatures: RequiredSignatures | null }>(
    'select signatures from repository where name = $1 or id::text = $1',
    [idOrName],
  )
  return row?.signatures ?? null
}
