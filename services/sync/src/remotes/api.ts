import { recordEvents, syncEvents } from '@berth/bus'
import {
  type ApiHandler,
  type Database,
  notFound,
  Problem,
  readPage,
  type Sealer,
  type Sql,
  sqlState,
  toPage,
} from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Remote } from '../db/generated/client.ts'
import { checkRemote, type RemoteBody } from './check-remote.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** How the API shows a remote: that there are credentials, never which. */
function showRemote(row: Remote): Record<string, unknown> {
  const { sealedPassword, sealedToken, createdAt, updatedAt, ...shown } = row
  return {
    ...shown,
    hasCredentials: sealedPassword !== null || sealedToken !== null,
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  }
}

/** Finds a remote by id or name. Throws 404. */
export async function findRemote(prisma: Prisma, idOrName: string): Promise<Remote> {
  const row = await prisma.remote.findUnique({ where: uuid.test(idOrName) ? { id: idOrName } : { name: idOrName } })
  if (!row) throw notFound('remote', idOrName)
  return row
}

/** The API of remotes: where content comes from. */
export function remoteHandlers(
  db: Database,
  prisma: Prisma,
  sealer: Sealer,
  wake: () => void,
): Record<string, ApiHandler> {
  return {
    listRemotes: async ({ query }) => {
      const page = readPage(query)
      const rows = await prisma.remote.findMany({
        where: {
          name: {
            ...(page.after === undefined ? {} : { gt: page.after }),
            ...(typeof query.q === 'string' ? { contains: query.q } : {}),
          },
        },
        orderBy: { name: 'asc' },
        take: page.limit + 1,
      })
      return { status: 200, body: toPage(rows, page, (row) => row.name, showRemote) }
    },
    createRemote: async ({ body, principal }) => {
      const wanted = body as RemoteBody
      checkRemote({ ...wanted, hasPassword: hasText(wanted.password), hasToken: hasText(wanted.token) })
      const id = await insertRemote(db, wanted, principal.name, sealer)
      wake()
      return {
        status: 201,
        headers: { location: `/api/v1/remotes/${id}` },
        body: showRemote(await findRemote(prisma, id)),
      }
    },
    showRemote: async ({ params }) => ({
      status: 200,
      body: showRemote(await findRemote(prisma, params.remote ?? '')),
    }),
    updateRemote: async ({ params, body, principal }) => {
      const current = await findRemote(prisma, params.remote ?? '')
      const changes = body as Partial<RemoteBody>
      const merged = { ...current, ...changes } as RemoteBody
      checkRemote({
        ...merged,
        hasPassword: stays(current.sealedPassword, changes.password),
        hasToken: stays(current.sealedToken, changes.token),
      })
      await updateRemote(db, current.id, merged, { changes, actor: principal.name, sealer })
      wake()
      return { status: 200, body: showRemote(await findRemote(prisma, current.id)) }
    },
    deleteRemote: async ({ params, principal }) => {
      const remote = await findRemote(prisma, params.remote ?? '')
      await db.transaction(async (sql) => {
        const gone = await sql.query('delete from remote where id = $1 returning id', [remote.id])
        if (gone.length === 0) throw notFound('remote', remote.name)
        await recordEvents(sql, [
          { kind: syncEvents.remoteDeleted, data: announced(remote.id, remote), actor: principal.name },
        ])
      })
      wake()
      return { status: 204 }
    },
  }
}

function hasText(value: string | null | undefined): boolean {
  return value !== undefined && value !== null && value !== ''
}

function stays(sealed: Uint8Array | null, change: string | null | undefined): boolean {
  return change === undefined ? sealed !== null : hasText(change)
}

function announced(id: string, remote: { name: string; url: string; policy?: string }) {
  return { id, name: remote.name, host: new URL(remote.url).host, policy: remote.policy ?? 'immediate' }
}

function valuesOf(remote: RemoteBody): unknown[] {
  const {
    name,
    url,
    upstreamName,
    policy = 'immediate',
    includeTags = [],
    excludeTags = [],
    username = null,
    tlsValidation = true,
    caCert = null,
    concurrency = 8,
    retries = 5,
    allowPrivateAddresses = false,
  } = remote
  return [
    name,
    url,
    upstreamName,
    policy,
    includeTags,
    excludeTags,
    username,
    tlsValidation,
    caCert,
    concurrency,
    retries,
    allowPrivateAddresses,
  ]
}

const columns =
  'name, url, upstream_name, policy, include_tags, exclude_tags, username, tls_validation, ca_cert, concurrency, retries, allow_private_addresses'

async function insertRemote(db: Database, wanted: RemoteBody, actor: string, sealer: Sealer): Promise<string> {
  return nameTaken(wanted.name, () =>
    db.transaction(async (sql) => {
      const [row] = await sql.query<{ id: string }>(
        `insert into remote (${columns}, created_by) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) returning id`,
        [...valuesOf(wanted), actor],
      )
      const id = row?.id ?? ''
      await sealSecrets(sql, id, wanted, sealer)
      await recordEvents(sql, [{ kind: syncEvents.remoteCreated, data: announced(id, wanted), actor }])
      return id
    }),
  )
}

async function updateRemote(
  db: Database,
  id: string,
  merged: RemoteBody,
  more: { changes: Partial<RemoteBody>; actor: string; sealer: Sealer },
): Promise<void> {
  await nameTaken(merged.name, () =>
    db.transaction(async (sql) => {
      await sql.query(
        `update remote set (${columns}) = row ($2, $3, $4, $5, $6::text[], $7::text[], $8, $9, $10, $11::integer, $12::integer, $13), updated_at = now() where id = $1`,
        [id, ...valuesOf(merged)],
      )
      await sealSecrets(sql, id, more.changes, more.sealer)
      await recordEvents(sql, [{ kind: syncEvents.remoteUpdated, data: announced(id, merged), actor: more.actor }])
    }),
  )
}

/** Seals what was sent; null takes a secret away, and what was not sent stays. */
async function sealSecrets(sql: Sql, id: string, changes: Partial<RemoteBody>, sealer: Sealer): Promise<void> {
  for (const [field, column] of [
    ['password', 'sealed_password'],
    ['token', 'sealed_token'],
  ] as const) {
    const secret = changes[field]
    if (secret === undefined) continue
    await sql.query(`update remote set ${column} = $2 where id = $1`, [
      id,
      hasText(secret) ? sealer.seal(secret ?? '', `${id}:${field}`) : null,
    ])
  }
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
