import { decide } from '@berth/access'
import type { AuthCommands, CommandClient } from '@berth/commands'
import { badField, type Principal, Problem } from '@berth/service'
import { systemName } from './default-schedules.ts'

/**
 * The account with whose rights a schedule does its work: the caller itself, or the one that it names. Others than itself are for
 * administrators, and a robot for those who manage it, because whoever could name anybody would have the rights of everybody. Throws 400
 * and 403.
 */
export async function readRunAs(
  auth: CommandClient<AuthCommands>,
  caller: Principal,
  named: string | undefined,
): Promise<{ runAs: string; runAsId: string }> {
  if (named === undefined || named === caller.name) return { runAs: caller.name, runAsId: caller.id }
  if (named === systemName)
    throw new Problem(403, 'not_allowed', `"${systemName}" is Berth itself, and runs its default schedules only.`, {
      field: 'runAs',
      hint: 'Leave it away, or name an account.',
    })
  const [namespace, robot] = named.split('/')
  const isManaged =
    robot !== undefined && decide(caller.rights, 'robot.manage', { kind: 'namespace', name: namespace ?? '' }).allowed
  if (!caller.admin && !isManaged)
    throw new Problem(403, 'not_allowed', `${caller.name} may not have something done as "${named}".`, {
      field: 'runAs',
      hint: 'Leave it away, or name a robot that you manage.',
    })
  const { accounts } = await auth.call('find-accounts', { names: [named] })
  const account = accounts.find(({ name }) => name === named)
  if (!account) throw badField('runAs', `there is no user or robot "${named}"`, 'Name one that there is.')
  return { runAs: named, runAsId: account.id }
}
