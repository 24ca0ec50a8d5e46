import { catalogEvents, recordEvents } from '@berth/bus'
import { Problem, type Transaction } from '@berth/service'
import { checkLabels } from '../settings/check-labels.ts'
import { checkRetention, type Retention } from '../settings/retention-rules.ts'
import { lockCount, recountNamespace } from './quota.ts'

/** What can be set about a namespace. */
export type NamespaceSettings = {
  /** The access of the distribution that a first push makes. */
  defaultAccess: 'public' | 'private'
  /** How many bytes it may hold, each blob and manifest counted once; null: any number. */
  quotaBytes: number | null
  labels: Record<string, string>
  /** For repositories without rules of their own. */
  retention: Retention | null
}

export const defaultNamespace: NamespaceSettings = {
  defaultAccess: 'private',
  quotaBytes: null,
  labels: {},
  retention: null,
}

const columns = `name, default_access as "defaultAccess", quota_bytes as "quotaBytes", labels, retention`

/** Checks what the schema of the API cannot. Throws 400 that names the field. */
export function checkNamespace<Given extends Partial<NamespaceSettings>>(given: Given): Given {
  if (given.labels) checkLabels(given.labels)
  if (given.retention) checkRetention(given.retention)
  return given
}

/** Sets something about a namespace for the first time. Throws 409 when something is set already. */
export async function createNamespace(
  sql: Transaction,
  { name, ...settings }: NamespaceSettings & { name: string },
  actor: string,
): Promise<void> {
  const [row] = await sql.query<NamespaceSettings & { name: string }>(
    `insert into namespace (name, default_access, labels, retention, created_by, quota_bytes)
     values ($1, $2, $3, $4, $5, $6)
     on conflict (name) do nothing
     returning ${columns}`,
    [
      name,
      settings.defaultAccess,
      JSON.stringify(settings.labels),
      asJson(settings.retention),
      actor,
      settings.quotaBytes,
    ],
  )
  if (!row)
    throw new Problem(409, 'name_taken', `Something is set about the namespace "${name}" already.`, {
      field: 'name',
      hint: 'Change it with PATCH.',
    })
  if (settings.quotaBytes !== null) await recountNamespace(sql, name)
  await recordEvents(sql, [{ kind: catalogEvents.namespaceCreated, data: row, actor }])
}

/** Changes the settings that are given. The row must be there. */
export async function updateNamespace(
  sql: Transaction,
  name: string,
  changes: Partial<NamespaceSettings>,
  actor: string,
): Promise<void> {
  const { defaultAccess = null, labels, retention, quotaBytes } = changes
  if (quotaBytes !== undefined) await lockCount(sql, name)
  const [row] = await sql.query<NamespaceSettings & { name: string }>(
    `update namespace
     set
       default_access = coalesce($2, default_access),
       labels = coalesce($3, labels),
       retention = case when $4 then $5::jsonb else retention end,
       quota_bytes = case when $6 then $7::bigint else quota_bytes end
     where name = $1
     returning ${columns}`,
    [
      name,
      defaultAccess,
      labels ? JSON.stringify(labels) : null,
      retention !== undefined,
      asJson(retention ?? null),
      quotaBytes !== undefined,
      quotaBytes ?? null,
    ],
  )
  if (!row) return
  if (quotaBytes !== undefined) await recountNamespace(sql, name)
  await recordEvents(sql, [{ kind: catalogEvents.namespaceUpdated, data: row, actor }])
}

/** Forgets what is set about a namespace; nothing may be. */
export async function deleteNamespace(sql: Transaction, name: string, actor: string): Promise<void> {
  const gone = await sql.query('delete from namespace where name = $1 returning name', [name])
  if (gone.length > 0) await recordEvents(sql, [{ kind: catalogEvents.namespaceDeleted, data: { name }, actor }])
}

function asJson(retention: Retention | null): string | null {
  return retention && JSON.stringify(retention)
}
