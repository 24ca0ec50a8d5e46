import { noRights } from '@berth/access'
import { type AuthCommands, type CommandHandlers, commandHandlers } from '@berth/commands'
import type { Database, InternalHandler } from '@berth/service'
import { decideAccess } from './access/decide.ts'
import { type Account, accountById, accountsByName, principalOf } from './accounts/account.ts'
import { publicKeys } from './keys/key-ring.ts'
import type { Authenticate } from './login/identify.ts'

/** What other services ask auth. */
export function authCommands(db: Database, authenticate: Authenticate): Record<string, InternalHandler> {
  const handlers: CommandHandlers<AuthCommands> = {
    identify: async ({ authorization, ip }) => ({ principal: told(await authenticate(authorization, ip)) }),
    'decide-access': async ({ authorization, ip, wanted }) => {
      const account = await authenticate(authorization, ip)
      return { principal: told(account), access: decideAccess(account, wanted) }
    },
    'grants-of': async ({ accountId, epoch }) => {
      const account = await accountById(db, accountId)
      return account?.sessionEpoch === epoch
        ? { rights: principalOf(account).rights, isActive: true }
        : { rights: noRights(null), isActive: false }
    },
    'list-denied-pulls': async ({ names, basePath }) => {
      const accounts = await accountsByName(db, names)
      const wanted = [{ type: 'repository' as const, name: basePath, actions: ['pull'] }]
      const may = new Set(accounts.filter((one) => decideAccess(one, wanted).length > 0).map(({ name }) => name))
      return { names: names.filter((name) => !may.has(name)) }
    },
    'list-keys': async () => ({ keys: await publicKeys(db) }),
  }
  return commandHandlers(handlers)
}

function told(account: Account | undefined) {
  return account ? principalOf(account) : null
}
