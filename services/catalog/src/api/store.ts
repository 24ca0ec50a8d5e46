import { randomUUID } from 'node:crypto'
import type { CommandClient, RegistryCommands, TasksCommands } from '@berth/commands'
import { parseDigest } from '@berth/oci'
import {
  type ApiReply,
  type ApiRequest,
  actorOf,
  badField,
  type Database,
  type Handlers,
  Problem,
  readPage,
  toPage,
} from '@berth/service'
import { storeIdentity } from '../cleaner/claim-store.ts'
import type { LoneCleaner } from '../cleaner/lone-cleaner.ts'
import type { GcPayload } from '../collect/gc-work.ts'
import type { Prisma } from '../db/client.ts'
import type { operations } from '../openapi-types.ts'
import { findRepository } from '../repositories/find.ts'
import { explain } from '../store/explain.ts'
import { isolatedRepositories } from '../store/isolated.ts'
import { damagedPerPage, lastRun, listCandidates, listDamaged, listRuns } from '../store/lists.ts'
import type { ReclaimPayload, RepairPayload, ScrubPayload } from '../store/maintenance-tasks.ts'
import { lastRound } from '../store/scrub-rounds.ts'
import { readRepositoryBytes, readStoreTotals } from '../store/totals.ts'
import { findVersion } from '../versions/show.ts'

type Deps = {
  db: Database
  prisma: Prisma
  tasks: CommandClient<TasksCommands>
  registry: CommandClient<RegistryCommands>
  cleaner: LoneCleaner
  graceSeconds: number
}

// One of these at a time: two at once would do no harm, and the same work twice.
const lock = 'store:care'
// What Berth does by itself waits only for the same: nobody who asks is to wait for what may take weeks.
const ownLock = (kind: string) => `store:${kind}`
const gentleBytesPerSecond = 20 << 20

/** The API of the store: what it holds, what keeps it, and tasks that take care of it. */
export function storeHandlers(deps: Deps) {
  const { db, prisma, tasks, registry, cleaner, graceSeconds } = deps
  const start = async (
    kind: string,
    payload: unknown,
    { principal, requestId, taskId = randomUUID() }: Pick<ApiRequest, 'principal' | 'requestId' | 'taskId'>,
  ): Promise<ApiReply> => {
    const actor = actorOf(principal)
    const exclusive = [actor.id === null ? ownLock(kind) : lock]
    const request = { id: taskId, kind, payload, exclusive, shared: [], actor }
    const { task } = await tasks.call('create-task', request, { requestId })
    return { status: 202, headers: { location: `/api/v1/tasks/${task.id}` }, body: task }
  }
  return {
    showStore: async () => ({
      status: 200,
      body: {
        ...(await readStoreTotals(db)),
        identity: await storeIdentity(db),
        isShared: !cleaner.wasAlone(),
        lastRun: await lastRun(db),
        lastScrub: await lastRound(db),
        isolated: await isolatedRepositories(db, registry),
      },
    }),
    listStoreRepositories: async ({ query }) => {
      const page = readPage(query)
      const q = query.q
      const rows = await readRepositoryBytes(db, { after: page.after ?? '', limit: page.limit, q })
      return {
        status: 200,
        body: toPage(
          rows,
          page,
          (row) => row.name,
          (row) => row,
        ),
      }
    },
    collectStore: async (request) => {
      const wanted = request.body ?? {}
      const payload: GcPayload = { dryRun: wanted.dryRun ?? false, graceSeconds: wanted.graceSeconds ?? graceSeconds }
      return start('gc', payload, request)
    },
    scrubStore: async (request) => {
      const { bytesPerSecond = gentleBytesPerSecond } = request.body ?? {}
      const payload: ScrubPayload = { since: new Date().toISOString(), bytesPerSecond }
      return start('scrub', payload, request)
    },
    repairStore: async (request) => {
      const { repository, version } = request.body ?? {}
      if (repository === undefined && version !== undefined)
        throw badField('version', 'needs a repository', 'Name the repository whose version it is.')
      const id = repository === undefined ? undefined : (await findRepository(prisma, repository)).id
      if (id !== undefined && version !== undefined) await findVersion(prisma, id, version)
      const scope = id === undefined ? null : { repositoryId: id, ...(version === undefined ? {} : { version }) }
      const payload: RepairPayload = { since: new Date().toISOString(), scope }
      return start('repair', payload, request)
    },
    reclaimStore: async (request) => {
      const wanted = request.body ?? {}
      const { repository, unusedSeconds = 0, dryRun = false } = wanted
      const repositoryId = repository === undefined ? null : (await findRepository(prisma, repository)).id
      const payload: ReclaimPayload = { repositoryId, unusedSeconds, dryRun }
      return start('reclaim', payload, request)
    },
    applyAllRetention: async (request) => start('retention', {}, request),
    listStoreDamage: async ({ query }) => {
      const asked = readPage(query)
      const page = { ...asked, limit: Math.min(asked.limit, damagedPerPage) }
      const rows = await listDamaged(db, { after: page.after ?? '', limit: page.limit })
      return {
        status: 200,
        body: toPage(
          rows,
          page,
          (row) => row.digest,
          (row) => row,
        ),
      }
    },
    listStoreCandidates: async ({ query }) => {
      const page = readPage(query)
      const rows = await listCandidates(db, { after: page.after ?? '', limit: page.limit, graceSeconds })
      return {
        status: 200,
        body: toPage(
          rows,
          page,
          (row) => row.digest,
          (row) => row,
        ),
      }
    },
    listStoreRuns: async ({ query }) => {
      const page = readPage(query)
      return {
        status: 200,
        body: toPage(
          await listRuns(db, page),
          page,
          (row) => `${row.startedAt} ${row.id}`,
          (row) => row,
        ),
      }
    },
    explainDigest: async ({ params }) => {
      const digest = parseDigest(params.digest)
      if (!digest) throw badField('digest', 'is no digest', 'It is sha256: or sha512: and hex digits.')
      const explained = await explain(db, digest, graceSeconds)
      if (!explained)
        throw new Problem(404, 'content_not_found', `Nothing is known of ${digest}.`, {
          hint: 'It was never here, or was collected.',
        })
      return { status: 200, body: explained }
    },
  } satisfies Partial<Handlers<operations>>
}
