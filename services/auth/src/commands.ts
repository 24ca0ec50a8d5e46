import { readOutbox } from '@berth/bus'
import { type AuthCommands, type CommandHandlers, commandHandlers, type OutboxPage } from '@berth/commands'
import type { Database, InternalHandler, Principal } from '@berth/service'
import { decideAccess } from './access/decide.ts'
import { publicKeys } from './keys/key-ring.ts'
import type { Account } from './login/account.ts'
import type { Authenticate } from './login/identify.ts'

type Commands = AuthCommands & { events: { request: { after: number }; reply: OutboxPage } }

/** What other services ask auth. */
export function authCommands(db: Database, authenticate: Authenticate): Record<string, InternalHandler> {
  const handlers: CommandHandlers<Commands> = {
    identify: async ({ authorization, ip }) => ({ principal: principalOf(await authenticate(authorization, ip)) }),
    access: async ({ authorization, ip, wanted }) => {
      const account = await authenticate(authorization, ip)
      return { principal: principalOf(account), access: decideAccess(account, wanted) }
    },
    jwks: async () => ({ keys: await publicKeys(db) }),
    events: async ({ after }) => readOutbox(db, after),
  }
  return commandHandlers(handlers)
}

function principalOf(account: Account | undefined): Principal | null {
  return account ? { name: account.name, admin: account.isAdmin } : null
}
