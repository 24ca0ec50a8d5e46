import { decide, toSql } from '@berth/access'
import type { CommandClient, TasksCommands } from '@berth/commands'
import {
  actorOf,
  type Database,
  type Handlers,
  notSeen,
  type Principal,
  Problem,
  readPage,
  toPage,
} from '@berth/service'
import { freeOfSchedules } from '../accounts/free-of-schedules.ts'
import type { operations } from '../openapi-types.ts'
import { createRobot, deleteRobot, rotateRobot, updateRobot, type WithSecret } from '../robots/change-robots.ts'
import { listRobots } from '../robots/list-robots.ts'
import { type Robot, readEnd, robotNamed, showRobot } from '../robots/robot.ts'

const usualOverlapSeconds = 3_600

/** The API of robots. Those of a namespace are for its owners, those without one for administrators; nobody else knows of any. */
export function robotHandlers(db: Database, tasks: CommandClient<TasksCommands>) {
  const find = async (idOrName: string, principal: Principal): Promise<Robot> => {
    const robot = await robotNamed(db, idOrName)
    if (mayManage(principal, robot.namespace)) return robot
    throw notSeen('robot', idOrName)
  }
  return {
    listRobots: async ({ query, principal }) => {
      const page = readPage(query)
      const seen = toSql(principal.rights, 'robot.manage', 'namespace', { name: 'namespace', id: 'null::uuid' }, 5)
      // Those without a namespace are for administrators, whoever may manage those of all namespaces.
      const condition = principal.admin ? seen.condition : `namespace is not null and ${seen.condition}`
      const rows = await listRobots(db, page, query, { ...seen, condition })
      return { status: 200, body: toPage(rows, page, (row) => row.name, showRobot) }
    },
    createRobot: async ({ body, principal }) => {
      const { name, namespace = null, description = '', expiresAt = null } = body
      if (!mayManage(principal, namespace)) throw mayNotMake(principal, namespace)
      const made = await createRobot(
        db,
        { name, namespace, description, expiresAt: readEnd(expiresAt) },
        actorOf(principal),
      )
      return { status: 201, headers: { location: `/api/v1/robots/${made.robot.id}` }, body: withSecret(made) }
    },
    showRobot: async ({ params, principal }) => ({
      status: 200,
      body: showRobot(await find(params.robot, principal)),
    }),
    updateRobot: async ({ params, body, principal }) => {
      const { description, expiresAt } = body
      const robot = await find(params.robot, principal)
      const changes = { description, expiresAt: expiresAt === undefined ? undefined : readEnd(expiresAt) }
      return { status: 200, body: showRobot(await updateRobot(db, robot, changes, actorOf(principal))) }
    },
    rotateRobot: async ({ params, body, principal }) => {
      const { overlapSeconds = usualOverlapSeconds, expiresAt } = body ?? {}
      const robot = await find(params.robot, principal)
      const wanted = { overlapSeconds, expiresAt: expiresAt === undefined ? undefined : readEnd(expiresAt) }
      return { status: 200, body: withSecret(await rotateRobot(db, robot, wanted, actorOf(principal))) }
    },
    deleteRobot: async ({ params, query, principal, requestId }) => {
      const robot = await find(params.robot, principal)
      const { transferTo } = query
      const mayManage = (name: string) =>
        find(name, principal).then(
          () => true,
          (error: unknown) => {
            if (error instanceof Problem && error.status === 404) return false
            throw error
          },
        )
      await freeOfSchedules({ db, tasks }, robot, { transferTo, principal, requestId, mayManage })
      await deleteRobot(db, robot, actorOf(principal))
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>
}

function withSecret({ robot, secret }: WithSecret) {
  return { ...showRobot(robot), secret }
}

function mayManage({ rights, admin }: Principal, namespace: string | null): boolean {
  return namespace === null ? admin : decide(rights, 'robot.manage', { kind: 'namespace', name: namespace }).allowed
}

function mayNotMake({ name }: Principal, namespace: string | null): Problem {
  const [where, role] =
    namespace === null ? ['without a namespace', 'admin'] : [`of the namespace "${namespace}"`, 'owner']
  return new Problem(403, 'not_allowed', `${name} may not make robots ${where}.`, {
    hint: namespace === null ? 'Name a namespace that you own, or ask an administrator.' : 'Ask an owner of it.',
    more: { missing: { verb: namespace === null ? 'administer' : 'robot.manage', role } },
  })
}
