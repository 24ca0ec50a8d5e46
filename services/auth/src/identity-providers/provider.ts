import {
  type Columns,
  isUuid,
  notFound,
  type PageRequest,
  pickFields,
  type Sealer,
  type Sql,
  selectedColumns,
} from '@berth/service'
import type { Issuer } from '../issuers/issuer.ts'

/** Where people log in, but for the secret of Berth there. */
export type ProviderFields = Issuer & {
  name: string
  clientId: string
  scopes: string[]
  usernameClaim: string
  groupsClaim: string
  createAccounts: boolean
}
export type Provider = ProviderFields & {
  id: string
  sealedClientSecret: Buffer | null
  createdAt: Date
  createdBy: string
  createdById: string | null
}

export const providerFields: Columns<ProviderFields> = {
  name: { column: 'name' },
  issuer: { column: 'issuer' },
  clientId: { column: 'client_id' },
  scopes: { column: 'scopes' },
  usernameClaim: { column: 'username_claim' },
  groupsClaim: { column: 'groups_claim' },
  createAccounts: { column: 'create_accounts' },
  jwks: { column: 'jwks', isJson: true },
  caCert: { column: 'ca_cert' },
  allowPrivateAddresses: { column: 'allow_private_addresses' },
  allowHttp: { column: 'allow_http' },
}

export const sealedSecret = 'sealed_client_secret'

/** What the secret of a provider is sealed as. */
export function secretContext(id: string): string {
  return `identity provider ${id} clientSecret`
}

const columns = `id, ${selectedColumns(providerFields)}, ${sealedSecret} as "sealedClientSecret", created_at as "createdAt",
  created_by as "createdBy", created_by_id as "createdById"`

/** A provider by id or name. Throws 404. */
export async function findProvider(sql: Sql, idOrName: string): Promise<Provider> {
  const [provider] = await sql.query<Provider>(
    `select ${columns} from identity_provider where ${isUuid(idOrName) ? 'id = $1::uuid' : 'name = $1'}`,
    [idOrName],
  )
  if (!provider) throw notFound('identity_provider', idOrName)
  return provider
}

/** A page of providers by name, and one more. */
export function listProviders(sql: Sql, { after, limit }: PageRequest): Promise<Provider[]> {
  return sql.query<Provider>(
    `select ${columns}
     from identity_provider
     where name > $1
     order by name
     limit $2`,
    [after ?? '', limit + 1],
  )
}

/** The secret of Berth at a provider; `undefined` for a client without one. */
export function openSecret({ id, sealedClientSecret }: Provider, sealer: Sealer): string | undefined {
  return sealedClientSecret ? sealer.open(sealedClientSecret, secretContext(id)) : undefined
}

export function showProvider(provider: Provider) {
  const { id, createdAt, createdBy, createdById, sealedClientSecret } = provider
  return {
    id,
    ...pickFields(providerFields, provider),
    hasClientSecret: sealedClientSecret !== null,
    createdAt: createdAt.toISOString(),
    createdBy,
    createdById,
  }
}
