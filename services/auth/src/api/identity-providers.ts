import { actorOf, badField, type Database, type Handlers, Problem, readPage, type Sealer, toPage } from '@berth/service'
import { createProvider, deleteProvider, updateProvider } from '../identity-providers/change-providers.ts'
import { findProvider, listProviders, type ProviderFields, showProvider } from '../identity-providers/provider.ts'
import { checkIssuer, type Issuer, issuerIn } from '../issuers/issuer.ts'
import type { Issuers } from '../issuers/issuers.ts'
import type { operations } from '../openapi-types.ts'

type Deps = { db: Database; sealer: Sealer; issuers: Issuers }

/** The API of identity providers. */
export function identityProviderHandlers({ db, sealer, issuers }: Deps) {
  return {
    listIdentityProviders: async ({ query }) => {
      const page = readPage(query)
      const rows = await listProviders(db, page)
      return { status: 200, body: toPage(rows, page, (row) => row.name, showProvider) }
    },
    createIdentityProvider: async ({ body, principal }) => {
      const { clientSecret, ...sent } = body
      const fields: ProviderFields = {
        scopes: ['openid', 'profile'],
        usernameClaim: 'preferred_username',
        groupsClaim: 'groups',
        createAccounts: true,
        ...sent,
        ...issuerIn(sent),
      }
      checkIssuer(fields)
      await refuseOtherIssuer(issuers, fields)
      const provider = await createProvider({ db, sealer, actor: actorOf(principal) }, { ...fields, clientSecret })
      return {
        status: 201,
        headers: { location: `/api/v1/identity-providers/${provider.id}` },
        body: showProvider(provider),
      }
    },
    showIdentityProvider: async ({ params }) => ({
      status: 200,
      body: showProvider(await findProvider(db, params.identityProvider)),
    }),
    updateIdentityProvider: async ({ params, body, principal }) => {
      const provider = await findProvider(db, params.identityProvider)
      const changed = await updateProvider({ db, sealer, actor: actorOf(principal) }, provider, body)
      return { status: 200, body: showProvider(changed) }
    },
    deleteIdentityProvider: async ({ params, principal }) => {
      await deleteProvider(db, await findProvider(db, params.identityProvider), actorOf(principal))
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>
}

/** Refuses (400) an issuer that calls itself otherwise. One that is away now may be there later. */
async function refuseOtherIssuer(issuers: Issuers, issuer: Issuer): Promise<void> {
  try {
    await issuers.discover(issuer)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    if (error.code === 'issuer_wrong') throw badField('issuer', error.message, error.options.hint)
  }
}
