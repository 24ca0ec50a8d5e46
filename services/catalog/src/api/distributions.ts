import { type AccessObject, adminRights, decide, type Rights, toSql } from '@berth/access'
import type { AuthCommands, CommandClient, SyncCommands } from '@berth/commands'
import {
  actorOf,
  badField,
  type Database,
  fitPage,
  type Guard,
  type Handlers,
  notFound,
  ownerOf,
  type PageRequest,
  type Principal,
  readPage,
  requireVerb,
  type Sql,
  type Transaction,
  toPage,
} from '@berth/service'
import type { Prisma } from '../db/client.ts'
import {
  type PullThroughBody,
  readPullThrough,
  refuseClosedMirror,
  refuseNeverPulled,
} from '../distributions/pull-through.ts'
import { findDistribution, type PullThrough, type Row, showDistribution, toServed } from '../distributions/show.ts'
import {
  type DistributionFields,
  insertDistribution,
  removeDistribution,
  type Serves,
  translate,
  type Update,
  updateDistribution,
} from '../distributions/write.ts'
import type { operations } from '../openapi-types.ts'
import { findHead, findRepository } from '../repositories/find.ts'
import type { ServedGate } from '../served/wait-until-served.ts'
import { ensureVersionWrittenOut } from '../versions/ensure-written-out.ts'

const everything: AccessObject = { kind: 'settings', name: '' }

type DistributionBody = DistributionFields & { repository?: string; pullThrough?: PullThroughBody }

/** The API of distributions: where a repository is served, which version of it, and to whom. */
export function distributionHandlers(
  db: Database,
  prisma: Prisma,
  { sync, auth, guard }: { sync: CommandClient<SyncCommands>; auth: CommandClient<AuthCommands>; guard: Guard },
  gate: ServedGate,
) {
  /** What becomes public has to be published by who may, in the repository and in the namespace of its base path. */
  const requirePublish = async (principal: Principal, basePath: string, repository: string | null) => {
    const what = `make ${basePath} public`
    const [name = ''] = basePath.split('/', 1)
    requireVerb(principal, 'publish', { kind: 'namespace', name }, what)
    if (repository !== null) await guard(principal, 'publish', { kind: 'repository', given: repository, what })
  }
  /** Whoever is the mirror of the root answers for names of everybody, and hears of all that are looked for. */
  const requireRoot = (principal: Principal, basePath: string, wanted: PullThroughBody | undefined) => {
    if (wanted?.mirrorOfRoot === true)
      requireVerb(principal, 'administer', everything, `make ${basePath} the mirror of the root`)
  }
  /**
   * Whose distributions are wanted: where that is of one repository, its id. Says nothing of one that the caller may not see. Who may grant on
   * it sees all of them, for whoever was let in once may still serve it elsewhere.
   */
  const wantedOf = async ({ rights, ...principal }: Principal, given: string | undefined) => {
    if (given === undefined) return { rights, repository: undefined }
    const what = `list the distributions of ${given}`
    await guard({ rights, ...principal }, 'read', { kind: 'repository', given, what })
    const head = await findHead(db, given)
    if (!head) throw notFound('repository', given)
    const { id, name, ownerId } = head
    const seesAll = decide(rights, 'grant', { kind: 'repository', id, name, ownerId }).allowed
    return { rights: seesAll ? adminRights(principal.id) : rights, repository: id }
  }
  const untilServed = (row: Row) => {
    const { kind, served } = toServed(row)
    return kind === 'distribution' ? gate.distribution(served) : gate.pullThrough(served)
  }
  /** Writes a distribution; registry has the version that it is pinned to before it is told of it. */
  const write = async (wanted: Partial<DistributionFields>, change: (sql: Transaction) => Promise<string>) => {
    const id = await translate(wanted, () =>
      db.transaction(async (sql) => {
        const id = await change(sql)
        await writeOutPin(sql, await findPin(sql, id))
        return id
      }),
    )
    const row = await findDistribution(prisma, id)
    // Of what is told, and not of what we wrote: a change that pinned it elsewhere since may still wait for registry.
    const revision = await db.transaction((sql) => writeOutPin(sql, row))
    if (row.repositoryId !== null && revision !== undefined) await gate.repository(row.repositoryId, revision)
    await untilServed(row)
    return row
  }
  return {
    listDistributions: async ({ query, principal }) => {
      const page = readPage(query)
      const wanted = await wantedOf(principal, query.repository)
      const keys = await distributionPage(db, page, { ...wanted, q: query.q })
      const fitting = fitPage(keys, page)
      const rows = await prisma.distribution.findMany({
        where: { id: { in: fitting.rows.map(({ id }) => id) } },
        include: { repository: true, through: { select: { name: true } } },
        orderBy: { name: 'asc' },
      })
      return { status: 200, body: toPage(rows, fitting.page, (row) => row.name, showDistribution) }
    },
    createDistribution: async ({ body, principal }) => {
      const wanted = body
      requireRoot(principal, wanted.basePath, wanted.pullThrough)
      if (wanted.access === 'public' || wanted.pullThrough)
        await requirePublish(principal, wanted.basePath, wanted.repository ?? null)
      const serves = await readServes(prisma, { sync, auth }, wanted)
      if ('pullThrough' in serves) {
        const { access = 'private', basePath } = wanted
        refuseClosedMirror(access, serves.pullThrough)
        await refuseNeverPulled(auth, { basePath, access, trigger: serves.pullThrough.trigger })
      }
      const row = await write(wanted, (sql) =>
        insertDistribution(sql, wanted, serves, { actor: actorOf(principal), ownerId: ownerOf(principal) }),
      )
      return { status: 201, headers: { location: `/api/v1/distributions/${row.id}` }, body: showDistribution(row) }
    },
    showDistribution: async ({ params }) => ({
      status: 200,
      body: showDistribution(await findDistribution(prisma, params.distribution)),
    }),
    updateDistribution: async ({ params, body, principal }) => {
      const current = await findDistribution(prisma, params.distribution)
      const changes = body
      requireRoot(principal, current.basePath, changes.pullThrough)
      const opens = changes.access === 'public' && current.access !== 'public'
      if (opens || (current.access === 'public' && changes.repository !== undefined))
        await requirePublish(principal, current.basePath, changes.repository ?? current.repository?.name ?? null)
      const update = await readUpdate(prisma, { sync, auth }, current, changes)
      const pullThrough = update.pullThrough ?? (current.pullThrough as PullThrough | null)
      if (pullThrough) {
        const access = update.access ?? current.access
        refuseClosedMirror(access, pullThrough)
        await refuseNeverPulled(auth, { basePath: current.basePath, access, trigger: pullThrough.trigger })
      }
      const wanted = { version: current.version, ...changes, basePath: current.basePath }
      const row = await write(wanted, async (sql) => {
        await updateDistribution(sql, current.id, update, actorOf(principal))
        return current.id
      })
      return { status: 200, body: showDistribution(row) }
    },
    deleteDistribution: async ({ params, principal }) => {
      const row = await findDistribution(prisma, params.distribution)
      const revision = await db.transaction((sql) => removeDistribution(sql, row, actorOf(principal)))
      const { kind, served } = toServed(row)
      if (kind === 'distribution') await gate.distribution({ ...served, revision, deleted: true })
      else await gate.pullThrough({ ...served, revision, deleted: true })
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>
}

/** The ids and sizes of a page of distributions, by name, and of one more. */
async function distributionPage(
  db: Database,
  page: PageRequest,
  filter: { rights: Rights; q: string | undefined; repository: string | undefined },
): Promise<{ id: string; listedBytes: number }[]> {
  const columns = { name: 'base_path', id: 'id', owner: 'owner_id', isPublic: "access = 'public'" }
  const readable = toSql(filter.rights, 'read', 'distribution', columns, 5)
  return db.query<{ id: string; listedBytes: number }>(
    `select id, listed_bytes as "listedBytes"
     from distribution
     where name > $1
       and ($2::text is null or position($2 in name) > 0)
       and ($3::uuid is null or repository_id = $3)
       and ${readable.condition}
     order by name
     limit $4`,
    [page.after ?? '', filter.q ?? null, filter.repository ?? null, page.limit + 1, ...readable.values],
  )
}

type Pin = { repositoryId: string | null; version: number | null }

async function findPin(sql: Sql, id: string): Promise<Pin> {
  const [pin] = await sql.query<Pin>(
    'select repository_id as "repositoryId", version from distribution where id = $1',
    [id],
  )
  return pin ?? { repositoryId: null, version: null }
}

/** Answers the revision that registry must have followed before it serves this, if that is a question. */
async function writeOutPin(sql: Sql, { repositoryId, version }: Pin): Promise<number | undefined> {
  return repositoryId === null || version === null ? undefined : ensureVersionWrittenOut(sql, repositoryId, version)
}

type Asked = { sync: CommandClient<SyncCommands>; auth: CommandClient<AuthCommands> }

/** What a new distribution is to serve: one of the two. */
async function readServes(prisma: Prisma, asked: Asked, wanted: DistributionBody): Promise<Serves> {
  const { repository, pullThrough } = wanted
  if (repository !== undefined && pullThrough !== undefined)
    throw badField('pullThrough', 'cannot be combined with a repository', 'Send one of the two.')
  if (pullThrough !== undefined) {
    refuseForHosts(wanted)
    return { pullThrough: await readPullThrough(asked, pullThrough) }
  }
  if (repository === undefined)
    throw badField('repository', 'is missing', 'Name the repository to serve, or send pullThrough to serve a host.')
  return { repositoryId: (await findRepository(prisma, repository)).id }
}

async function readUpdate(
  prisma: Prisma,
  asked: Asked,
  current: Row,
  { repository, pullThrough, ...fields }: Partial<DistributionBody>,
): Promise<Update> {
  if (current.pullThrough === null) {
    if (pullThrough !== undefined)
      throw badField('pullThrough', `${current.name} serves a repository`, 'Make a distribution of its own for a host.')
    if (repository !== undefined && current.via !== null)
      throw badField(
        'repository',
        `${current.name} came by pull-through and serves what came`,
        'Make another distribution.',
      )
    return repository === undefined
      ? fields
      : { ...fields, repositoryId: (await findRepository(prisma, repository)).id }
  }
  if (repository !== undefined)
    throw badField('repository', `${current.name} serves a host`, 'Make a distribution of its own for a repository.')
  refuseForHosts(fields)
  if (pullThrough === undefined) return fields
  return { ...fields, pullThrough: await readPullThrough(asked, pullThrough, current.pullThrough as PullThrough) }
}

/** What only has a meaning where one repository is served. */
function refuseForHosts(fields: Partial<DistributionFields>): void {
  for (const field of ['version', 'redirect', 'warning', 'convertToSchema1'] as const)
    if (fields[field] !== undefined)
      throw badField(field, 'is not for pull-through', 'Leave it away, or set it for a distribution that came by it.')
}
