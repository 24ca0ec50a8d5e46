import { actorOf, type Database, type Handlers, readPage, toPage } from '@berth/service'
import { issuerIn } from '../issuers/issuer.ts'
import type { operations } from '../openapi-types.ts'
import { robotNamed } from '../robots/robot.ts'
import { createTrust, deleteTrust, updateTrust } from '../trusts/change-trusts.ts'
import { findTrust, listTrusts, showTrust } from '../trusts/trust.ts'

/** The API of trusts. */
export function trustHandlers(db: Database) {
  return {
    listTrusts: async ({ query }) => {
      const page = readPage(query)
      return { status: 200, body: toPage(await listTrusts(db, page), page, (row) => row.name, showTrust) }
    },
    createTrust: async ({ body, principal }) => {
      const { name, audience, claims, robot } = body
      const fields = { name, audience, claims, ...issuerIn(body) }
      const trust = await createTrust(db, fields, await robotNamed(db, robot), actorOf(principal))
      return { status: 201, headers: { location: `/api/v1/trusts/${trust.id}` }, body: showTrust(trust) }
    },
    showTrust: async ({ params }) => ({ status: 200, body: showTrust(await findTrust(db, params.trust)) }),
    updateTrust: async ({ params, body, principal }) => {
      const trust = await findTrust(db, params.trust)
      const { robot, ...changes } = body
      const wanted = { changes, robot: robot === undefined ? undefined : await robotNamed(db, robot) }
      return { status: 200, body: showTrust(await updateTrust(db, trust, wanted, actorOf(principal))) }
    },
    deleteTrust: async ({ params, principal }) => {
      await deleteTrust(db, await findTrust(db, params.trust), actorOf(principal))
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>
}
