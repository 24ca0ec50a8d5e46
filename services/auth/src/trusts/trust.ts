import { type Columns, isUuid, notFound, type PageRequest, pickFields, type Sql, selectedColumns } from '@berth/service'
import type { Issuer } from '../issuers/issuer.ts'
import type { Conditions } from './conditions.ts'

export type TrustFields = Issuer & { name: string; audience: string; claims: Conditions }
export type Trust = TrustFields & {
  id: string
  robotId: string
  robotName: string
  createdAt: Date
  lastUsedAt: Date | null
  createdBy: string
  createdById: string | null
}

export const trustFields: Columns<TrustFields> = {
  name: { column: 'name' },
  issuer: { column: 'issuer' },
  audience: { column: 'audience' },
  claims: { column: 'claims', isJson: true },
  jwks: { column: 'jwks', isJson: true },
  caCert: { column: 'ca_cert' },
  allowPrivateAddresses: { column: 'allow_private_addresses' },
  allowHttp: { column: 'allow_http' },
}

const selected = `
  select id, ${selectedColumns(trustFields)}, robot_id as "robotId",
    (select robot.name from robot where robot.id = robot_id) as "robotName",
    created_at as "createdAt", last_used_at as "lastUsedAt", created_by as "createdBy", created_by_id as "createdById"
  from trust`

/** A trust by id or name. Throws 404. */
export async function findTrust(sql: Sql, idOrName: string): Promise<Trust> {
  const [trust] = await sql.query<Trust>(`${selected} where ${isUuid(idOrName) ? 'id = $1::uuid' : 'name = $1'}`, [
    idOrName,
  ])
  if (!trust) throw notFound('trust', idOrName)
  return trust
}

/** The trust of a user name. */
export async function trustNamed(sql: Sql, name: string): Promise<Trust | undefined> {
  const [trust] = await sql.prepared<Trust>('trust-by-name', `${selected} where name = $1`, [name])
  return trust
}

// Clusters often call themselves alike: of those whose keys are pasted, the one that has the key is meant.
const inIssuer = `
  ${selected}
  where issuer = $1
    and (
      jwks is null
      or jwks -> 'keys' @> jsonb_build_array(jsonb_build_object('kid', $2::text))
      or (jsonb_array_length(jwks -> 'keys') = 1 and not jwks -> 'keys' -> 0 ? 'kid'))
  order by name`

/** The trusts in an issuer that may have the key which a token names. */
export function trustsIn(sql: Sql, issuer: string, kid: string | undefined): Promise<Trust[]> {
  return sql.prepared<Trust>('trusts-in-issuer', inIssuer, [issuer, kid ?? null])
}

/** A page of trusts by name, and one more. */
export function listTrusts(sql: Sql, { after, limit }: PageRequest): Promise<Trust[]> {
  return sql.query<Trust>(`${selected} where name > $1 order by name limit $2`, [after ?? '', limit + 1])
}

export async function noteUseOfTrust(sql: Sql, id: string): Promise<void> {
  await sql.prepared(
    'trust-used',
    `update trust
     set last_used_at = now()
     where id = $1 and (last_used_at is null or last_used_at < now() - interval '1 minute')`,
    [id],
  )
}

export function showTrust(trust: Trust) {
  const { id, robotName, createdAt, lastUsedAt, createdBy, createdById } = trust
  return {
    id,
    ...pickFields(trustFields, trust),
    robot: robotName,
    lastUsedAt: lastUsedAt?.toISOString() ?? null,
    createdAt: createdAt.toISOString(),
    createdBy,
    createdById,
  }
}
