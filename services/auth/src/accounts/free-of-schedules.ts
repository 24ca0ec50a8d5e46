import type { CommandClient, TasksCommands } from '@berth/commands'
import { badField, type Database, noteAudit, type Principal, Problem } from '@berth/service'
import { accountsByName } from './account.ts'

type Deps = { db: Database; tasks: CommandClient<TasksCommands> }
type Account = { id: string; name: string }
type Asked = {
  transferTo: string | undefined
  principal: Principal
  requestId: string
  /** Whether the caller may have something done with the rights of a robot of this name. */
  mayManage: (robot: string) => Promise<boolean>
}

/**
 * Makes sure that no schedule runs as an account that is about to go: they run as `transferTo` from now on, which has to be one that the
 * caller could name as `runAs`. Throws 409 that names them where it is not said. What is made in the meantime pauses when it is due.
 */
export async function freeOfSchedules({ db, tasks }: Deps, account: Account, asked: Asked): Promise<void> {
  const { transferTo, principal, requestId } = asked
  const to = transferTo === undefined ? undefined : await heirNamed(db, account, transferTo, asked)
  const request = { accountId: account.id, rights: principal.rights }
  const { names, count } = await tasks.call('find-schedules-of', request, { requestId })
  if (count === 0) return
  if (to) {
    noteAudit({ detail: `schedules run as ${to.name}` })
    await tasks.call('transfer-schedules', { accountId: account.id, to }, { requestId })
    return
  }
  const others = count > names.length ? [`${count - names.length} others`] : []
  throw new Problem(409, 'account_in_use', `Schedules run as ${account.name}: ${[...names, ...others].join(', ')}.`, {
    hint: 'Name another account for them with ?transferTo=, or delete them first.',
    more: { schedules: names },
  })
}

async function heirNamed(db: Database, account: Account, named: string, asked: Asked): Promise<Account> {
  const { principal, mayManage } = asked
  if (named === account.name) throw badField('transferTo', 'is the account that is to be deleted', 'Name another one.')
  const isAllowed = principal.admin || named === principal.name || (await mayManage(named))
  if (!isAllowed)
    throw new Problem(403, 'not_allowed', `${principal.name} may not have something done as "${named}".`, {
      field: 'transferTo',
      hint: 'Name yourself, or a robot that you manage.',
    })
  const [heir] = await accountsByName(db, [named])
  if (!heir) throw badField('transferTo', `there is no user or robot "${named}"`, 'Name one that there is.')
  return { id: heir.id, name: heir.name }
}
