import { catalogEvents, declaredOf, recordEvents } from '@berth/bus'
import {
  type Actor,
  assignments,
  type Columns,
  columnValues,
  insertQuery,
  madeBy,
  Problem,
  selectedColumns,
  type Transaction,
} from '@berth/service'
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
  /** Whether each pull is listed in the audit trail. */
  auditPulls: boolean
  /** Whether builds may have a network, for who has the verb too. */
  buildEgress: boolean
}

export const defaultNamespace: NamespaceSettings = {
  defaultAccess: 'private',
  quotaBytes: null,
  labels: {},
  retention: null,
  auditPulls: false,
  buildEgress: false,
}

/** Where the settings of a namespace are kept. */
export const namespaceColumns: Columns<NamespaceSettings> = {
  defaultAccess: { column: 'default_access' },
  quotaBytes: { column: 'quota_bytes' },
  labels: { column: 'labels', isJson: true },
  retention: { column: 'retention', isJson: true },
  auditPulls: { column: 'audit_pulls' },
  buildEgress: { column: 'build_egress' },
}
const { namespaceCreated: created, namespaceUpdated: updated } = catalogEvents
const returned = `name, ${selectedColumns(namespaceColumns)}`

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
  actor: Actor,
): Promise<void> {
  if (!(await insertNamespace(sql, { name, ...settings }, actor)))
    throw new Problem(409, 'name_taken', `Something is set about the namespace "${name}" already.`, {
      field: 'name',
      hint: 'Change it with PATCH.',
    })
  if (settings.quotaBytes !== null) await recountNamespace(sql, name)
}

/** Answers false, and changes nothing, where something is set already. */
async function insertNamespace(
  sql: Transaction,
  { name, ...settings }: NamespaceSettings & { name: string },
  actor: Actor,
): Promise<boolean> {
  const insert = insertQuery('namespace', { name, ...madeBy(actor), ...columnValues(namespaceColumns, settings) })
  const [row] = await sql.query<NamespaceSettings & { name: string }>(
    `${insert.text} on conflict (name) do nothing returning ${returned}`,
    insert.values,
  )
  if (row) await recordEvents(sql, [{ kind: created, data: declaredOf(created, row), actor }])
  return row !== undefined
}

/**
 * Keeps the namespace of a repository that is deleted, be it the last one there, while a distribution is the mirror of the root: whoever
 * goes on pulling the deleted name is not to get what somebody else has under it (docs/decisions/0038). It goes when it is deleted itself.
 */
export async function keepNamespaceOf(sql: Transaction, repositoryName: string, actor: Actor): Promise<void> {
  const [mirror] = await sql.query(`select from distribution where pull_through @> '{"mirrorOfRoot": true}'`)
  const [name = ''] = repositoryName.split('/', 1)
  if (mirror) await insertNamespace(sql, { ...defaultNamespace, name }, actor)
}

/** Changes the settings that are given. The row must be there. */
export async function updateNamespace(
  sql: Transaction,
  name: string,
  changes: Partial<NamespaceSettings>,
  actor: Actor,
): Promise<void> {
  const { quotaBytes } = changes
  if (quotaBytes !== undefined) await lockCount(sql, name)
  const values = columnValues(namespaceColumns, changes)
  const [row] = await sql.query<NamespaceSettings & { name: string }>(
    `update namespace
     set ${assignments(values, 2)}
     where name = $1
     returning ${returned}`,
    [name, ...Object.values(values)],
  )
  if (!row) return
  if (quotaBytes !== undefined) await recountNamespace(sql, name)
  await recordEvents(sql, [{ kind: updated, data: declaredOf(updated, row), actor }])
}

/** Forgets what is set about a namespace; nothing may be. Answers whether that was a quota too. */
export async function deleteNamespace(sql: Transaction, name: string, actor: Actor): Promise<boolean> {
  const [gone] = await sql.query<{ hadQuota: boolean }>(
    'delete from namespace where name = $1 returning quota_bytes is not null as "hadQuota"',
    [name],
  )
  if (!gone) return false
  await recordEvents(sql, [{ kind: catalogEvents.namespaceDeleted, data: { name }, actor }])
  return gone.hadQuota
}
