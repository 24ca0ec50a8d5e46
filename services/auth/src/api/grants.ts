import { formatOn, type Rights } from '@berth/access'
import {
  actorOf,
  badField,
  type Database,
  type Handlers,
  isUuid,
  notFound,
  notSeen,
  numberAfter,
  readPage,
  toPage,
} from '@berth/service'
import { type GrantRow, showGrant, writtenOn } from '../grants/grant-row.ts'
import { listGrants, maySeeGrant } from '../grants/list-grants.ts'
import { changeGrant, grantById, makeGrant } from '../grants/make-grant.ts'
import { refuseBeyond, refuseTouchingAdmin, requireGrant } from '../grants/may-grant.ts'
import { removeGrant } from '../grants/remove-grants.ts'
import { type AskOwner, findTarget, readOn, targetOf } from '../grants/target.ts'
import { findHolder, type HolderKind, readHolder } from '../holders/holder.ts'
import type { operations } from '../openapi-types.ts'
import { findRole } from '../roles/role.ts'

/** The API of grants. Whoever may grant on something sees what is granted on it, and gives or takes there what it has itself. */
export function grantHandlers(db: Database, askOwner: AskOwner) {
  const find = async (id: string, rights: Rights): Promise<GrantRow> => {
    if (isUuid(id) && (await maySeeGrant(db, rights, id))) return grantById(db, id)
    throw notSeen('grant', id)
  }
  return {
    listGrants: async ({ query, principal }) => {
      const page = readPage(query)
      const { to, on, role } = query
      const filter = {
        to: to === undefined ? undefined : readHolder('to', to, ['user', 'group', 'robot']),
        on: on === undefined ? undefined : readOn(on),
        role,
      }
      const rows = await listGrants(db, principal.rights, { after: numberAfter(page), limit: page.limit }, filter)
      return { status: 200, body: toPage(rows, page, (row) => String(row.seq), showGrant) }
    },
    createGrant: async ({ body, principal }) => {
      const on = readOn(body.on)
      const target = await findTarget(db, on, principal.rights, askOwner)
      const role = await findRole(db, body.role)
      refuseBeyond(principal, role, target, formatOn(on))
      const holder = await findHolder(db, ...readTo(body.to))
      const row = await makeGrant(db, { holder, role, target }, actorOf(principal))
      return { status: 201, headers: { location: `/api/v1/grants/${row.id}` }, body: showGrant(row) }
    },
    showGrant: async ({ params, principal }) => ({
      status: 200,
      body: showGrant(await find(params.grant, principal.rights)),
    }),
    updateGrant: async ({ params, body, principal }) => {
      const row = await find(params.grant, principal.rights)
      const role = await findRole(db, body.role)
      refuseBeyond(principal, role, targetOf(row), writtenOn(row))
      refuseTouchingAdmin(principal, row.role, writtenOn(row))
      return { status: 200, body: showGrant(await changeGrant(db, row, role, actorOf(principal))) }
    },
    deleteGrant: async ({ params, principal }) => {
      const row = await find(params.grant, principal.rights)
      requireGrant(principal, targetOf(row), writtenOn(row))
      refuseTouchingAdmin(principal, row.role, writtenOn(row))
      const gone = await db.transaction((sql) => removeGrant(sql, row.id, actorOf(principal)))
      if (!gone) throw notFound('grant', row.id)
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>
}

function readTo(to: { [Kind in HolderKind]?: string }): [HolderKind, string] {
  const [named, ...others] = Object.entries(to) as [HolderKind, string][]
  if (named && others.length === 0) return named
  throw badField('to', 'has to name one user, group or robot', 'For example {"robot": "team/ci"}.')
}
