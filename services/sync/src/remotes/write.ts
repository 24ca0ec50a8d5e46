import { randomUUID } from 'node:crypto'
import { recordEvents, syncEvents } from '@berth/bus'
import { normalizeRegistryUrl } from '@berth/registry-client'
import {
  type Actor,
  assignments,
  badField,
  columnValues,
  type Database,
  insertQuery,
  madeBy,
  notFound,
  Problem,
  type Sealer,
  type Sql,
  selectedColumns,
  sqlState,
} from '@berth/service'
import { checkRemote } from './check-remote.ts'
import { columns, type RemoteBody, type SecretField, sealedColumns, secretContext } from './fields.ts'

export type Writing = { db: Database; sealer: Sealer; actor: Actor; ownerId?: string | null }

/** Makes a remote and answers its id. Throws 400 for what cannot be, 409 for a name that is taken. */
export async function insertRemote(
  { db, sealer, actor, ownerId = null }: Writing,
  wanted: RemoteBody,
): Promise<string> {
  checkRemote(wanted, { has: (field) => hasText(wanted[field]), clientKey: wanted.clientKey ?? undefined })
  const id = randomUUID()
  const values = {
    id,
    policy: 'immediate',
    ...madeBy(actor),
    owner_id: ownerId,
    ...valuesOf(id, wanted, sealer),
  }
  const insert = insertQuery('remote', values)
  await nameTaken(wanted.name, () =>
    db.transaction(async (sql) => {
      await sql.query(insert.text, insert.values)
      const data = { ...announced(id, wanted), ownerId }
      await recordEvents(sql, [{ kind: syncEvents.remoteCreated, data, actor }])
    }),
  )
  return id
}

/** What is sent of a remote. `check` throws where it may not be so changed. */
export type RemoteChange = {
  changes: Partial<RemoteBody>
  check?: (before: RemoteBody, after: RemoteBody) => void
}

/** Changes what was sent; null takes away, and what was not sent stays. Throws as `insertRemote`, and 404. */
export async function updateRemote(
  { db, sealer, actor }: Writing,
  id: string,
  { changes, check }: RemoteChange,
): Promise<void> {
  await nameTaken(changes.name ?? '', () =>
    db.transaction(async (sql) => {
      const { remote, sealed } = await lockRemote(sql, id)
      const merged = { ...remote, ...changes }
      const has = (field: SecretField) =>
        changes[field] === undefined ? sealed[field] !== null : hasText(changes[field])
      checkRemote(merged, { has, clientKey: clientKeyOf(id, changes, sealed.clientKey, sealer) })
      check?.(remote, merged)
      checkWhereSecretsGo(remote, merged, (field) => sealed[field] !== null && changes[field] === undefined)
      const values = valuesOf(id, changes, sealer)
      await sql.query(`update remote set ${assignments(values, 2)}, updated_at = now() where id = $1`, [
        id,
        ...Object.values(values),
      ])
      // Another server may answer from now on: what the one before showed says nothing of this one.
      if (wayFields.some((field) => changes[field] !== undefined && changes[field] !== remote[field]))
        await sql.query('update content_source set given_at = null where remote_id = $1', [id])
      await recordEvents(sql, [{ kind: syncEvents.remoteUpdated, data: announced(id, merged), actor }])
    }),
  )
}

/** Deletes a remote; what was synced from it stays. Throws 404. */
export async function deleteRemote(db: Database, remote: { id: string; name: string; url: string }, actor: Actor) {
  await db.transaction(async (sql) => {
    const [gone] = await sql.query<{ ownerId: string | null }>(
      'delete from remote where id = $1 returning owner_id as "ownerId"',
      [remote.id],
    )
    if (!gone) throw notFound('remote', remote.name)
    const data = { ...announced(remote.id, remote), ...gone }
    await recordEvents(sql, [{ kind: syncEvents.remoteDeleted, data, actor }])
  })
}

// With the headers, which are sealed: whatever is sent for them counts as another way.
const wayFields = ['url', 'tlsValidation', 'caCert', 'proxyUrl', 'headers'] as const

type Sealed = Record<SecretField, Buffer | null>

// Locked, so that of two changes at once the second is checked against what the first left.
async function lockRemote(sql: Sql, id: string): Promise<{ remote: RemoteBody; sealed: Sealed }> {
  const secret = Object.entries(sealedColumns).map(([field, column]) => `${column} as "sealed.${field}"`)
  const [row] = await sql.query(
    `select ${[selectedColumns(columns), ...secret].join(', ')}
     from remote
     where id = $1
     for update`,
    [id],
  )
  if (!row) throw notFound('remote', id)
  const entries = Object.entries(row)
  const isSealed = ([key]: [string, unknown]) => key.startsWith('sealed.')
  return {
    remote: Object.fromEntries(entries.filter((entry) => !isSealed(entry))) as RemoteBody,
    sealed: Object.fromEntries(
      entries.filter(isSealed).map(([key, value]) => [key.slice('sealed.'.length), value]),
    ) as Sealed,
  }
}

/** Secrets that are not sent again stay with the host that they were given for: else a new address would be handed them. */
function checkWhereSecretsGo(before: RemoteBody, after: RemoteBody, stays: (field: SecretField) => boolean): void {
  const originOf = ({ url }: RemoteBody) => normalizeRegistryUrl(url).origin
  const refuse = (field: SecretField, because: string) => {
    if (stays(field)) throw badField(field, `has to be sent again, or taken away by null, because ${because}`)
  }
  if (originOf(before) !== originOf(after))
    for (const field of ['password', 'token', 'clientKey', 'headers'] as const) refuse(field, 'url names another host')
  if (before.proxyUrl !== after.proxyUrl && after.proxyUrl) refuse('proxyPassword', 'proxyUrl names another host')
  const changes = (['proxyUrl', 'tlsValidation', 'caCert'] as const).filter((field) => before[field] !== after[field])
  if (changes.length > 0 && proxyCanRead(after))
    for (const field of ['password', 'token', 'headers'] as const)
      refuse(field, `with this change of ${changes.join(', ')} the proxy can read it`)
}

/** Whether the proxy sees everything: there is no TLS, or TLS that the proxy may end itself. Nothing else vouches for the registry then. */
function proxyCanRead({ url, proxyUrl, tlsValidation = true, caCert }: RemoteBody): boolean {
  if (!proxyUrl) return false
  return normalizeRegistryUrl(url).protocol === 'http:' || !tlsValidation || Boolean(caCert)
}

/** The key that a changed certificate must fit. */
function clientKeyOf(
  id: string,
  changes: Partial<RemoteBody>,
  sealed: Buffer | null,
  sealer: Sealer,
): string | undefined {
  if (changes.clientKey !== undefined) return changes.clientKey ?? undefined
  return changes.clientCert && sealed ? sealer.open(sealed, secretContext(id, 'clientKey')) : undefined
}

/** The columns that a body names, with their values. */
function valuesOf(id: string, body: Partial<RemoteBody>, sealer: Sealer): Record<string, unknown> {
  const values = columnValues(columns, body)
  for (const [field, column] of Object.entries(sealedColumns) as [SecretField, string][]) {
    const secret = body[field]
    if (secret === undefined) continue
    const text = typeof secret === 'object' ? JSON.stringify(secret) : secret
    values[column] = hasText(secret) ? sealer.seal(text, secretContext(id, field)) : null
  }
  if (body.headers !== undefined) values.header_names = Object.keys(body.headers ?? {})
  return values
}

function hasText(value: string | Record<string, string> | null | undefined): boolean {
  if (value === undefined || value === null) return false
  return typeof value === 'string' ? value !== '' : Object.keys(value).length > 0
}

function announced(id: string, remote: { name: string; url: string; policy?: string }) {
  return { id, name: remote.name, host: new URL(remote.url).host, policy: remote.policy ?? 'immediate' }
}

async function nameTaken<T>(name: string, change: () => Promise<T>): Promise<T> {
  try {
    return await change()
  } catch (error) {
    if (sqlState(error) !== '23505') throw error
    throw new Problem(409, 'name_taken', `There is a remote "${name}" already.`, {
      field: 'name',
      hint: 'Choose another name, or change that one.',
      cause: error,
    })
  }
}
