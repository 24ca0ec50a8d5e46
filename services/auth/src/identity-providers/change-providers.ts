import { randomUUID } from 'node:crypto'
import { authEvents, recordEvents } from '@berth/bus'
import {
  type Actor,
  assignments,
  columnValues,
  type Database,
  insertQuery,
  madeBy,
  notFound,
  Problem,
  type Sealer,
  sqlState,
} from '@berth/service'
import { endWhatWasIssuedBy } from '../accounts/end-what-was-issued.ts'
import { checkIssuer } from '../issuers/issuer.ts'
import {
  findProvider,
  type Provider,
  type ProviderFields,
  providerFields,
  sealedSecret,
  secretContext,
} from './provider.ts'

type Writing = { db: Database; sealer: Sealer; actor: Actor }
/** What can be changed of a provider: its issuer is what accounts are known by, so that is another provider. */
export type ProviderChanges = Partial<Omit<ProviderFields, 'name' | 'issuer'>> & {
  clientSecret?: string | null | undefined
}

const mostProviders = 100

/** Makes a provider. Throws 400 for what cannot be, 409 when its name is taken. */
export async function createProvider(
  { db, sealer, actor }: Writing,
  { clientSecret, ...fields }: ProviderFields & { clientSecret?: string | null | undefined },
): Promise<Provider> {
  checkIssuer(fields)
  const id = randomUUID()
  const insert = insertQuery('identity_provider', {
    id,
    ...columnValues(providerFields, fields),
    [sealedSecret]: seal(sealer, id, clientSecret),
    ...madeBy(actor),
  })
  const { name } = fields
  return db.transaction(async (sql) => {
    await sql.query("select pg_advisory_xact_lock(hashtextextended('berth identity providers', 0))")
    const [row] = await sql.query<{ count: number }>('select count(*) as count from identity_provider')
    if ((row?.count ?? 0) >= mostProviders)
      throw new Problem(
        409,
        'too_many_providers',
        `There are ${mostProviders} identity providers, which is the most.`,
        {
          hint: 'Delete those that nobody logs in through.',
        },
      )
    const made = await sql.query(`${insert.text} on conflict (name) do nothing returning id`, insert.values)
    if (made.length === 0)
      throw new Problem(409, 'name_taken', `There is an identity provider "${name}" already.`, {
        field: 'name',
        hint: 'Choose another name.',
      })
    const provider = await findProvider(sql, id)
    await recordEvents(sql, [{ kind: authEvents.identityProviderCreated, data: told(provider), actor }])
    return provider
  })
}

/** Changes what was sent. Throws 400 for what cannot be. */
export async function updateProvider(
  { db, sealer, actor }: Writing,
  provider: Provider,
  { clientSecret, ...fields }: ProviderChanges,
): Promise<Provider> {
  const { id, name } = provider
  const values: Record<string, unknown> = {
    ...columnValues<Partial<ProviderFields>>(providerFields, fields),
    ...(clientSecret === undefined ? {} : { [sealedSecret]: seal(sealer, id, clientSecret) }),
  }
  return db.transaction(async (sql) => {
    const [locked] = await sql.query(
      `select
       from identity_provider
       where id = $1
       for update`,
      [id],
    )
    if (!locked) throw notFound('identity_provider', name)
    checkIssuer({ ...(await findProvider(sql, id)), ...fields })
    await sql.query(`update identity_provider set ${assignments(values, 2)} where id = $1`, [
      id,
      ...Object.values(values),
    ])
    const changed = await findProvider(sql, id)
    await recordEvents(sql, [{ kind: authEvents.identityProviderUpdated, data: told(changed), actor }])
    return changed
  })
}

/**
 * Deletes a provider. Where no other one has its issuer, all that was issued to people of it ends; their accounts stay. Throws 409 while
 * groups have their members from it.
 */
export async function deleteProvider(db: Database, provider: Provider, actor: Actor): Promise<void> {
  const { id, name, issuer } = provider
  try {
    await db.transaction(async (sql) => {
      const gone = await sql.query('delete from identity_provider where id = $1 returning id', [id])
      if (gone.length === 0) throw notFound('identity_provider', name)
      const others = await sql.query('select from identity_provider where issuer = $1', [issuer])
      if (others.length === 0) await endWhatWasIssuedBy(sql, issuer)
      await recordEvents(sql, [{ kind: authEvents.identityProviderDeleted, data: told(provider), actor }])
    })
  } catch (error) {
    if (sqlState(error) !== '23503') throw error
    throw new Problem(409, 'provider_in_use', `Groups have their members from "${name}".`, {
      hint: 'GET /api/v1/groups shows them under "external": delete them first.',
      cause: error,
    })
  }
}

function seal(sealer: Sealer, id: string, secret: string | null | undefined): Buffer | null {
  return secret === null || secret === undefined ? null : sealer.seal(secret, secretContext(id))
}

function told({ id, name, issuer }: Provider) {
  return { id, name, issuer }
}
