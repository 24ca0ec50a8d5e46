import { type AccessObject, decide, toSql } from '@berth/access'
import type { CatalogCommands, CommandClient } from '@berth/commands'
import {
  badCursor,
  createStreamCount,
  type Database,
  type Handlers,
  isUuid,
  notSeen,
  type Principal,
  Problem,
  type RequestOf,
  readPage,
  toPage,
} from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Build } from '../db/generated/client.ts'
import { lineAfter, sendLog, streamLog } from '../log/stream-log.ts'
import type { operations } from '../openapi-types.ts'
import { type StartDeps, startBuild } from './start-build.ts'

const mostStreams = 20

type Deps = {
  db: Database
  prisma: Prisma
  catalog: CommandClient<CatalogCommands>
  /** What builds are started with; a sentence and its remedy where they are not. */
  start: StartDeps | Problem
}

/** The API of builds. */
export function buildHandlers({ db, prisma, catalog, start }: Deps) {
  const countStream = createStreamCount(mostStreams, 'logs of builds')
  const find = async (id: string, principal: Principal): Promise<Build> => {
    const build = isUuid(id) ? await prisma.build.findUnique({ where: { id } }) : null
    if (!build || !may(principal, 'read', build)) throw notSeen('build', id)
    return build
  }
  return {
    startBuild: async (request) => {
      if (start instanceof Problem) throw start
      const task = await startBuild(start, request)
      return { status: 202, headers: { location: `/api/v1/tasks/${task.id}` }, body: task }
    },
    listBuilds: async ({ query, principal }) => ({
      status: 200,
      body: await listBuilds({ db, prisma }, query, principal),
    }),
    showBuild: async ({ params, principal }) => ({ status: 200, body: showBuild(await find(params.build, principal)) }),
    readBuildLog: async (request) => {
      const { params, principal, response } = request
      const build = await find(params.build, principal)
      await requireLog(catalog, principal, build)
      const incoming = response.req
      const watched = { sql: db, buildId: build.id }
      if (!/\btext\/event-stream\b/.test(incoming.headers.accept ?? '')) {
        await sendLog(request, watched)
        return undefined
      }
      const after = lineAfter(incoming.headers['last-event-id']?.toString())
      countStream(request)
      const mayStill = async () => {
        const now = await request.whoNow().catch(unlessRefused)
        return now !== undefined && (now === 'unknown' || (may(now, 'read', build) && mayReadLog(now, build)))
      }
      await streamLog(request, { ...watched, mayStill }, after)
      return undefined
    },
  } satisfies Handlers<operations>
}

/** Nothing where a login has ended; what cannot be asked now was allowed a moment ago. */
function unlessRefused(error: unknown): 'unknown' | undefined {
  return error instanceof Problem && error.status < 500 ? undefined : 'unknown'
}

function objectOf({ repository, repositoryId }: Build): AccessObject {
  return { kind: 'repository', name: repository, id: repositoryId ?? undefined }
}

/** A build is seen by who started it, and by who may see the repository. */
function may(caller: Principal, verb: 'read' | 'build', build: Build): boolean {
  return build.createdById === caller.id || decide(caller.rights, verb, objectOf(build)).allowed
}

/** A log tells what is in a context: it is for who started the build, and for who may build there too. */
function mayReadLog(caller: Principal, build: Build): boolean {
  return may(caller, 'build', build)
}

async function requireLog(catalog: CommandClient<CatalogCommands>, caller: Principal, build: Build): Promise<void> {
  if (mayReadLog(caller, build)) return
  // Who owns the repository is known to catalog alone.
  const { repository } = await catalog.call('find-repository', { repository: build.repositoryId ?? build.repository })
  const object: AccessObject = { ...objectOf(build), ownerId: repository?.ownerId }
  if (decide(caller.rights, 'build', object).allowed) return
  throw new Problem(403, 'not_allowed', `${caller.name} may not read the log of this build.`, {
    hint: `It is for who started the build, and for who may build into "${build.repository}".`,
    more: { missing: { verb: 'build', role: 'maintainer' } },
  })
}

async function listBuilds(
  { db, prisma }: Pick<Deps, 'db' | 'prisma'>,
  query: RequestOf<operations['listBuilds']>['query'],
  { id: caller, rights }: Principal,
) {
  const page = readPage(query)
  if (page.after !== undefined && !/^\d{1,18}$/.test(page.after)) throw badCursor()
  const readable = toSql(rights, 'read', 'repository', { name: 'repository collate "C"', id: 'repository_id' }, 6)
  const keys = await db.query<{ id: string }>(
    `select id
     from build
     where ($1::bigint is null or seq < $1)
       and ($2::text is null or repository = $2)
       and ($3::text is null or position($3 in repository) > 0)
       and (created_by_id = $4::uuid or ${readable.condition})
     order by seq desc
     limit $5`,
    [page.after ?? null, query.repository ?? null, query.q ?? null, caller, page.limit + 1, ...readable.values],
  )
  const where = { id: { in: keys.map(({ id }) => id) } }
  const rows = await prisma.build.findMany({ where, orderBy: { seq: 'desc' } })
  return toPage(rows, page, (row) => String(row.seq), showBuild)
}

function showBuild(row: Build) {
  const iso = (time: Date | null) => time?.toISOString() ?? null
  return {
    id: row.id,
    task: row.taskId,
    repository: row.repository,
    tags: row.tags.length > 0 ? row.tags : [row.tag],
    platforms: row.platforms,
    target: row.target,
    network: row.network,
    noCache: row.noCache,
    state: row.state,
    digest: row.state === 'completed' ? row.digest : null,
    version: row.version,
    error: row.error,
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
    createdById: row.createdById,
    startedAt: iso(row.startedAt),
    finishedAt: iso(row.finishedAt),
  }
}
