import { type AccessObject, type Rights, toSql } from '@berth/access'
import type { CatalogCommands, CommandClient } from '@berth/commands'
import { normalizeRegistryUrl } from '@berth/registry-client'
import {
  actorOf,
  type Database,
  fitPage,
  type Handlers,
  type Logger,
  ownerOf,
  type PageRequest,
  type Principal,
  readPage,
  requireVerb,
  type Sealer,
  toPage,
} from '@berth/service'
import type { Prisma } from '../db/client.ts'
import { refuseWhileNeeded } from '../on-demand/sources-in-use.ts'
import type { operations } from '../openapi-types.ts'
import { walkToRemote } from '../remotes/check/walk.ts'
import type { RemoteBody } from '../remotes/fields.ts'
import { resealRemotes } from '../remotes/reseal-remotes.ts'
import { findRemote, showRemote, showRemoteTo } from '../remotes/show.ts'
import { deleteRemote, insertRemote, updateRemote } from '../remotes/write.ts'

// What lets a remote reach further than the rest of Berth may, or trust less: an administrator answers for that.
const openingFields = ['allowPrivateAddresses', 'redirectHosts', 'proxyUrl'] as const
const everything: AccessObject = { kind: 'settings', name: '' }

type Opening = { [Field in (typeof openingFields)[number]]?: unknown } & { tlsValidation?: boolean }

function refuseOpening(principal: Principal, sent: Opening, what: string): void {
  const isSet = (value: unknown) => (Array.isArray(value) ? value.length > 0 : Boolean(value))
  const field = openingFields.find((one) => isSet(sent[one])) ?? (sent.tlsValidation === false ? 'tlsValidation' : '')
  if (field !== '') requireVerb(principal, 'administer', everything, `${what} with ${field}`)
}

/** The API of remotes: where content comes from. */
export function remoteHandlers(deps: {
  db: Database
  prisma: Prisma
  sealer: Sealer
  catalog: CommandClient<CatalogCommands>
  log: Logger
}) {
  const { db, prisma, sealer, catalog, log } = deps
  return {
    listRemotes: async ({ query, principal }) => {
      const page = readPage(query)
      const fitting = fitPage(await remotePage(db, page, { rights: principal.rights, q: query.q }), page)
      const ids = fitting.rows.map(({ id }) => id)
      const rows = await prisma.remote.findMany({ where: { id: { in: ids } }, orderBy: { name: 'asc' } })
      return {
        status: 200,
        body: toPage(
          rows,
          fitting.page,
          (row) => row.name,
          (row) => showRemoteTo(principal.rights, row),
        ),
      }
    },
    createRemote: async ({ body, principal }) => {
      refuseOpening(principal, body, `make a remote`)
      const id = await insertRemote({ db, sealer, actor: actorOf(principal), ownerId: ownerOf(principal) }, body)
      return {
        status: 201,
        headers: { location: `/api/v1/remotes/${id}` },
        body: showRemote(await findRemote(prisma, id)),
      }
    },
    showRemote: async ({ params, principal }) => ({
      status: 200,
      body: showRemoteTo(principal.rights, await findRemote(prisma, params.remote)),
    }),
    updateRemote: async ({ params, body, principal }) => {
      const { id } = await findRemote(prisma, params.remote)
      const what = `change ${params.remote}`
      refuseOpening(principal, body, what)
      const check = (before: RemoteBody, after: RemoteBody) => {
        // What an administrator opened was opened for the hosts that it led to then.
        if (waysOf(before) !== waysOf(after)) refuseOpening(principal, after, `have ${params.remote} ask other hosts`)
        // Under its new name it belongs to whom a new one would.
        if (before.name !== after.name)
          requireVerb(principal, 'remote.create', { kind: 'remote', name: after.name }, what)
      }
      await updateRemote({ db, sealer, actor: actorOf(principal) }, id, { changes: body, check })
      return { status: 200, body: showRemote(await findRemote(prisma, id)) }
    },
    checkRemote: async ({ params }) => ({
      status: 200,
      body: await walkToRemote(await findRemote(prisma, params.remote), sealer),
    }),
    rotateRemoteKeys: async () => ({ status: 200, body: await resealRemotes(db, sealer, log) }),
    deleteRemote: async ({ params, query, principal }) => {
      const remote = await findRemote(prisma, params.remote)
      if (query.force !== true) await refuseWhileNeeded({ db, catalog }, remote)
      await deleteRemote(db, remote, actorOf(principal))
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>
}

/** Which hosts a remote asks, besides those that a registry sends it to. */
function waysOf({ url, tokenHosts = [], signatures, includeForeignLayers = false }: RemoteBody): string {
  return JSON.stringify([normalizeRegistryUrl(url).origin, tokenHosts, signatures?.sigstore, includeForeignLayers])
}

/** The ids and sizes of a page of remotes that a caller may use, by name, and of one more. */
async function remotePage(
  db: Database,
  page: PageRequest,
  filter: { rights: Rights; q: string | undefined },
): Promise<{ id: string; listedBytes: number }[]> {
  const usable = toSql(filter.rights, 'remote.use', 'remote', { name: 'name', id: 'id', owner: 'owner_id' }, 4)
  return db.query<{ id: string; listedBytes: number }>(
    `select id, listed_bytes as "listedBytes"
     from remote
     where name > $1
       and ($2::text is null or position($2 in name) > 0)
       and ${usable.condition}
     order by name
     limit $3`,
    [page.after ?? '', filter.q ?? null, page.limit + 1, ...usable.values],
  )
}
