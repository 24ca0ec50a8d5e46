import { catalogEvents, declaredOf, recordEvents } from '@berth/bus'
import { checkRequiredSignatures, type RequiredSignatures } from '@berth/commands'
import {
  type Actor,
  assignments,
  type Columns,
  columnValues,
  type Database,
  notFound,
  selectedColumns,
  type Transaction,
} from '@berth/service'
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

/** Where the settings of a repository are kept. */
export const settingColumns: Columns<RepositorySettings> = {
  description: { column: 'description' },
  labels: { column: 'labels', isJson: true },
  immutableTags: { column: 'immutable_tags' },
  sparseIndexes: { column: 'sparse_indexes' },
  retainVersions: { column: 'retain_versions' },
  retention: { column: 'retention', isJson: true },
  signatures: { column: 'signatures', isJson: true },
}

/** Checks what the schema of the API cannot. Throws 400 that names the field. */
export function checkSettings<Given extends Partial<RepositorySettings>>(given: Given): Given {
  for (const [i, pattern] of (given.immutableTags ?? []).entries()) checkPattern(pattern, `immutableTags[${i}]`)
  if (given.labels) checkLabels(given.labels)
  if (given.retention) checkRetention(given.retention)
  if (given.signatures) checkRequiredSignatures(given.signatures)
  return given
}

/** Changes the settings that are given, and announces what its event declares of them as they are then. Throws 404. */
export async function updateSettings(
  sql: Transaction,
  id: string,
  changes: Partial<RepositorySettings>,
  actor: Actor,
): Promise<void> {
  const values = columnValues(settingColumns, changes)
  const [row] = await sql.query<RepositorySettings & { name: string }>(
    `update repository
     set ${assignments(values, 2)}
     where id = $1
     returning name, ${selectedColumns(settingColumns)}`,
    [id, ...Object.values(values)],
  )
  if (!row) throw notFound('repository', id)
  const kind = catalogEvents.repositoryUpdated
  // Of the signatures no more: keys may be longer than an event.
  const told = { repositoryId: id, ...row, requiresSignatures: row.signatures?.require ?? false }
  await recordEvents(sql, [{ kind, data: declaredOf(kind, told), repositoryId: id, actor }])
}

/**
 * Whose signatures content must have that comes from upstream into a repository, by id or name; `null` also when it is not
 * there.
 */
export async function requiredSignatures(db: Database, idOrName: string): Promise<RequiredSignatures | null> {
  const [row] = await db.query<{ signatures: RequiredSignatures | null }>(
    'select signatures from repository where name = $1 or id::text = $1',
    [idOrName],
  )
  return row?.signatures ?? null
}
