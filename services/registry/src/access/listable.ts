import type { IncomingMessage } from 'node:http'
import type { AuthCommands, CommandClient } from '@berth/commands'
import { clientAddress, Problem } from '@berth/service'
import { type Access, parseAuthorization, type TokenCheck } from '@berth/tokens'

/** The right to list all names, as it is asked for. */
export const wholeCatalog: Access = { type: 'registry', name: 'catalog', actions: ['*'] }
// A list is worth a wait for auth, but not one as long as for a login.
const longestWaitMs = 2_000

/** The names that a list shows a caller beside the public ones; with a `warning` when that cannot be told now. */
export type Listable = { pulls: 'all' | string[]; warning: string | null }

/**
 * Makes the decision what a list shows. Clients list with a token without a scope, too (`podman search`): that says who calls and
 * not what for, so auth is asked what this one may see.
 */
export function createListable({ tokens, auth }: { tokens: TokenCheck; auth: CommandClient<AuthCommands> }) {
  return async (request: IncomingMessage, { pulls }: Pick<Listable, 'pulls'>): Promise<Listable> => {
    const { authorization = '' } = request.headers
    const credentials = parseAuthorization(authorization)
    const claims = credentials?.kind === 'bearer' ? tokens.verify(credentials.token) : undefined
    if (!claims || claims.subject === '' || claims.access.length > 0) return { pulls, warning: null }
    const asked = { authorization, ip: clientAddress(request), wanted: [wholeCatalog] }
    try {
      const { access } = await auth.call('decide-access', asked, { timeoutMs: longestWaitMs })
      return { pulls: access.length > 0 ? 'all' : pulls, warning: null }
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 503) throw error
      return { pulls, warning: 'public names only: what else you may see cannot be asked now; try again' }
    }
  }
}
