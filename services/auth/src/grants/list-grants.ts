import { type On, type Rights, toSql } from '@berth/access'
import { isUuid, type Sql } from '@berth/service'
import { heldBy } from '../access/rights.ts'
import { authenticatedGroup, type HolderKind } from '../holders/holder.ts'
import { copiedKinds } from '../objects/object.ts'
import { type GrantRow, grantColumns, grantSource } from './grant-row.ts'

export type GrantFilter = { to?: [HolderKind, string] | undefined; on?: On | undefined; role?: string | undefined }

/**
 * A page of grants in the order in which they were made, and one more: those that somebody may see, which are those on what they may
 * grant on themselves.
 */
export async function listGrants(
  sql: Sql,
  rights: Rights,
  { after = 0, limit }: { after: number | undefined; limit: number },
  { to, on, role }: GrantFilter,
): Promise<GrantRow[]> {
  const values: unknown[] = [after, limit + 1]
  const place = (value: unknown) => `$${values.push(value)}`
  const conditions = [
    'seq > $1::bigint',
    ...(to ? [`holder.kind = ${place(to[0])}`, `holder.name = ${place(to[1])}`] : []),
    ...(role === undefined ? [] : [`coalesce(role, custom_role.name) = ${place(role)}`]),
    ...(on ? [isOn(on, place)] : []),
    mayBeSeen(rights, values),
  ]
  return sql.query<GrantRow>(
    `select ${grantColumns}
     from ${grantSource}
     where ${conditions.join(' and ')}
     order by seq
     limit $2`,
    values,
  )
}

/** All that an account holds: its own grants, those of its groups, and those of everybody with a login. */
export async function listHeld(sql: Sql, accountId: string): Promise<GrantRow[]> {
  return sql.query<GrantRow>(
    `select ${grantColumns}
     from ${grantSource}
     where holder_id in (${heldBy})
     order by seq`,
    [accountId, authenticatedGroup.id],
  )
}

/** Whether somebody may see a grant. */
export async function maySeeGrant(sql: Sql, rights: Rights, id: string): Promise<boolean> {
  const values: unknown[] = [id]
  const rows = await sql.query(
    `select from ${grantSource} where access_grant.id = $1 and ${mayBeSeen(rights, values)}`,
    values,
  )
  return rows.length > 0
}

function isOn(on: On, place: (value: unknown) => string): string {
  if ('all' in on) return 'everything'
  if ('prefix' in on) return `prefix = ${place(on.prefix)}`
  if (on.kind === 'namespace') return `namespace = ${place(on.name)}`
  const named = isUuid(on.name) ? `object.id = ${place(on.name)}::uuid` : `object.name = ${place(on.name)}`
  return `object.kind = ${place(on.kind)} and ${named}`
}

/** The condition by which `values` grow: that somebody may see a grant. */
function mayBeSeen(rights: Rights, values: unknown[]): string {
  const everything = rights.grants.some(
    (grant) => 'all' in grant && (grant.verbs.includes('grant') || grant.verbs.includes('account.read')),
  )
  if (everything) return 'true'
  const allowed = (...[kind, columns]: [Parameters<typeof toSql>[2], Parameters<typeof toSql>[3]]) => {
    const { condition, values: more } = toSql(rights, 'grant', kind, columns, values.length + 1)
    values.push(...more)
    return condition
  }
  const none = 'null::uuid'
  const conditions = [
    ...copiedKinds.map(
      (kind) =>
        `object.kind = '${kind}' and ${allowed(kind, { name: 'object.name', id: 'object.id', owner: 'object.owner_id' })}`,
    ),
    `namespace is not null and ${allowed('namespace', { name: 'namespace', id: none })}`,
    // What covers all names below a prefix covers the prefix as a name.
    `prefix is not null and ${allowed('repository', { name: 'prefix', id: none })}`,
  ]
  return `(${conditions.map((condition) => `(${condition})`).join(' or ')})`
}
