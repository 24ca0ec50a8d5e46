import {
  actorOf,
  badCursor,
  createStreamCount,
  type Database,
  fitPage,
  type Handlers,
  isUuid,
  namespaceOf,
  noteAudit,
  notSeen,
  type Principal,
  Problem,
  type RequestOf,
  readPage,
  toPage,
} from '@berth/service'
import type { Prisma } from './db/client.ts'
import { listLines } from './log/list.ts'
import type { operations } from './openapi-types.ts'
import { cancelTask } from './queue/cancel.ts'
import { purgeTasks } from './queue/purge.ts'
import { retryTask } from './queue/retry.ts'
import { hasEnded, showTask, type TaskRow, taskColumns } from './queue/row.ts'
import { readWaitingFor } from './queue/waiting-for.ts'
import { hidesUpstream, objectsOf, requireChange, seenBy, type TaskObjects, viewOf } from './visible.ts'
import type { Changes } from './watch/changes.ts'
import { streamTask } from './watch/stream.ts'
import { unlessRefused } from './watch/unless-refused.ts'

const mostStreams = 100

/** The API of tasks. */
export function taskHandlers(db: Database, prisma: Prisma, changes: () => Changes) {
  const find = async (id: string, principal: Principal) => {
    const { condition, values } = seenBy(principal, 2)
    const [row] = isUuid(id)
      ? await db.query<TaskRow>(`select ${taskColumns} from task where id = $1 and ${condition}`, [id, ...values])
      : []
    if (!row) throw notSeen('task', id)
    const objects = await objectsOf(db, [id])
    return { row, objects, view: viewOf(principal, row, objects) }
  }
  const countStream = createStreamCount(mostStreams, 'tasks')
  return {
    listTasks: async ({ query, principal }) => ({
      status: 200,
      body: await listTasks({ db, prisma }, query, principal),
    }),
    showTask: async ({ params, principal }) => {
      const { row, view } = await find(params.task, principal)
      const waitingFor = row.state === 'waiting' ? await readWaitingFor(db, row.id, principal) : []
      return { status: 200, body: { ...view(showTask(row)), waitingFor } }
    },
    listTaskLog: async ({ params, query, principal }) => {
      const { row, objects } = await find(params.task, principal)
      const page = readPage(query)
      return { status: 200, body: await listLines(db, row.id, page, hidesUpstream(principal, row, objects)) }
    },
    cancelTask: async ({ params, principal }) => {
      const { row, objects, view } = await find(params.task, principal)
      const { id } = row
      requireChange(principal, row, objects, `cancel task ${id}`)
      noteTask(row, objects)
      const task = view(showTask(await cancelTask(db, id)))
      // A running task ends once its worker has stopped: 202 says that it is not there yet.
      return hasEnded(task.state)
        ? { status: 200, body: task }
        : { status: 202, body: task, headers: { location: `/api/v1/tasks/${id}` } }
    },
    retryTask: async ({ params, body, principal }) => {
      const { row, objects, view } = await find(params.task, principal)
      requireChange(principal, row, objects, `try task ${row.id} again`)
      noteTask(row, objects)
      const { failedOnly = false } = body ?? {}
      const made = await retryTask(db, row, { failedOnly, actor: actorOf(principal) })
      const headers = { location: `/api/v1/tasks/${made.id}` }
      return { status: 202, headers, body: view(showTask(made)) }
    },
    purgeTasks: async ({ body, signal }) => ({
      status: 200,
      body: { purged: await purgeTasks(db.background, body, signal) },
    }),
    watchTask: async (request) => {
      const { row, view } = await find(request.params.task, request.principal)
      countStream(request)
      const lookAgain = async () => {
        const principal = await request.whoNow()
        return principal && (await find(row.id, principal)).view
      }
      streamTask(request, showTask(row), {
        changes: changes(),
        view,
        lookAgain: () => lookAgain().catch(unlessRefused),
      })
      return undefined
    },
  } satisfies Partial<Handlers<operations>>
}

async function listTasks(
  { db, prisma }: { db: Database; prisma: Prisma },
  query: RequestOf<operations['listTasks']>['query'],
  principal: Principal,
) {
  const page = readPage(query)
  if (page.after !== undefined && !/^\d{1,18}$/.test(page.after)) throw badCursor()
  const { state, kind, parent, q } = query
  const seen = seenBy(principal, 7)
  const keys = await db.query<{ id: string; listedBytes: number }>(
    `select id, listed_bytes as "listedBytes"
     from task
     where ($1::bigint is null or seq < $1)
       and ($2::text is null or state = $2)
       and ($3::text is null or kind = $3)
       and ($4::uuid is null or parent = $4)
       and ($5::text is null or strpos(kind, $5) > 0 or strpos(actor, $5) > 0 or resources @> array[$5])
       and ${seen.condition}
     order by seq desc
     limit $6`,
    [page.after ?? null, state ?? null, kind ?? null, parent ?? null, q ?? null, page.limit + 1, ...seen.values],
  )
  const fitting = fitPage(keys, page)
  const ids = fitting.rows.map(({ id }) => id)
  const rows = await prisma.task.findMany({ where: { id: { in: ids } }, orderBy: { seq: 'desc' } })
  const objects = await objectsOf(db, ids)
  return toPage(
    rows,
    fitting.page,
    (row) => String(row.seq),
    (row) => viewOf(principal, row, objects)(showTask(row)),
  )
}

/** Tells the audit trail what kind of task it is, and its namespace where all that it works on is of one. */
function noteTask({ id, kind }: TaskRow, objects: TaskObjects): void {
  const namespaces = (objects.get(id) ?? []).map((on) => namespaceOf({ kind: on.kind, id: null, name: on.name }))
  const [namespace = null] = namespaces
  const isOfOne = namespaces.every((one) => one === namespace)
  noteAudit({ object: { kind: 'task', id, name: kind }, namespace: isOfOne ? namespace : null })
}

/** What a request gets that comes before the service is up. */
export function notStarted(): Problem {
  return new Problem(503, 'starting', 'The tasks service is starting.', { headers: { 'retry-after': '1' } })
}
