import { noRights } from '@berth/access'
import { type AuthCommands, type CommandHandlers, commandHandlers } from '@berth/commands'
import type { Database, InternalHandler } from '@berth/service'
import { decideScopes, mayPull } from './access/decide-scopes.ts'
import { rightsOf } from './access/rights.ts'
import { accountById, accountsById, accountsByName } from './accounts/account.ts'
import { grantNamespace } from './grants/grant-namespace.ts'
import { publicKeys } from './keys/key-ring.ts'
import { type Authenticate, whoAsks } from './login/identify.ts'
import { limitedTo, principalOf } from './login/principal.ts'

/** What other services ask auth. */
export function authCommands(db: Database, authenticate: Authenticate): Record<string, InternalHandler> {
  const handlers: CommandHandlers<AuthCommands> = {
    identify: async (sent) => {
      const account = await whoAsks(db, authenticate, sent)
      return { principal: account ? await principalOf(db, account) : null }
    },
    'decide-access': async ({ authorization, ip, wanted }) => {
      const account = await authenticate(authorization, ip)
      if (!account) return { principal: null, access: [] }
      const principal = await principalOf(db, account)
      const access = await decideScopes(db, principal.rights, wanted, account.pass?.scopes)
      return { principal: limitedTo(account, principal), access }
    },
    'grants-of': async ({ accountId, epoch }) => {
      const account = await accountById(db, accountId)
      if (account?.sessionEpoch !== epoch) return { rights: noRights(null), isActive: false }
      return { rights: await rightsOf(db, account), isActive: true }
    },
    'principal-of': async ({ accountId }) => {
      const account = await accountById(db, accountId)
      return { principal: account ? await principalOf(db, account) : null }
    },
    'find-accounts': async ({ names }) => ({
      accounts: (await accountsByName(db, names)).map(({ id, name }) => ({ id, name })),
    }),
    'list-denied-pulls': async ({ ids, basePath }) => {
      const may = new Set<string>()
      for (const account of await accountsById(db, ids))
        if (await mayPull(db, await rightsOf(db, account), basePath)) may.add(account.id)
      return { ids: ids.filter((id) => !may.has(id)) }
    },
    'grant-namespace': async ({ namespace, owner, actor }) => {
      await grantNamespace(db, { namespace, owner }, actor)
      return {}
    },
    'list-keys': async () => ({ keys: await publicKeys(db) }),
  }
  return commandHandlers(handlers)
}
