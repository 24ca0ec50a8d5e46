import { catalogEvents, recordEvents } from '@berth/bus'
import { BadPattern, parseTagPattern } from '@berth/oci'
import { badField, notFound, type Sql } from '@berth/service'

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
}

export const defaultSettings: RepositorySettings = {
  description: '',
  labels: {},
  immutableTags: [],
  sparseIndexes: false,
  retainVersions: null,
}

/** Checks what the schema of the API cannot. Throws 400 that names the field. */
export function checkSettings<Given extends Partial<RepositorySettings>>(given: Given): Given {
  for (const [i, pattern] of (given.immutableTags ?? []).entries()) {
    try {
      parseTagPattern(pattern)
    } catch (error) {
      if (!(error instanceof BadPattern)) throw error
      throw badField(
        `immutableTags[${i}]`,
        error.message,
        'Use * for any characters, ? for one, [a-z] for one of a set.',
      )
    }
  }
  return given
}

/** Changes the settings that are given, and announces all of them as they are then. Throws 404. */
export async function updateSettings(
  sql: Sql,
  id: string,
  changes: Partial<RepositorySettings>,
  actor: string,
): Promise<void> {
  const { description = null, labels, immutableTags = null, sparseIndexes = null, retainVersions } = changes
  const [row] = await sql.query<RepositorySettings & { name: string }>(
    `update repository set description = coalesce($2, description), labels = coalesce($3, labels),
       immutable_tags = coalesce($4, immutable_tags), sparse_indexes = coalesce($5, sparse_indexes),
       retain_versions = case when $6 then $7::integer else retain_versions end
     where id = $1 returning name, description, labels, immutable_tags as "immutableTags", sparse_indexes as "sparseIndexes",
       retain_versions as "retainVersions"`,
    [
      id,
      description,
      labels === undefined ? null : JSON.stringify(labels),
      immutableTags,
      sparseIndexes,
      retainVersions !== undefined,
      retainVersions ?? null,
    ],
  )
  if (!row) throw notFound('repository', id)
  const data = { repositoryId: id, ...row }
  await recordEvents(sql, [{ kind: catalogEvents.repositoryUpdated, data, repositoryId: id, actor }])
}
