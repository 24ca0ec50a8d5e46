import { adminRights } from '@berth/access'
import type { AuthCommands, CommandClient, OperationCommands } from '@berth/commands'
import {
  type ApiDocument,
  type ApiHandler,
  createOperationCaller,
  type InternalHandler,
  type ObjectFinders,
  type Principal,
  Problem,
} from '@berth/service'

type Api = { handlers: Record<string, ApiHandler>; objects?: ObjectFinders; scheduled?: readonly string[] }
type Request = OperationCommands['call-operation']['request']

/** Berth itself, for what runs without anybody's asking. No account has its id. */
const system: Principal = { id: '', name: 'system', admin: true, rights: adminRights('') }

/** Answers `call-operation`: those operations of a service's API that it names, for an account with the rights that it has now. */
export function answerScheduled(
  service: string,
  document: ApiDocument,
  api: Api,
  auth: CommandClient<AuthCommands>,
): InternalHandler {
  const call = createOperationCaller({ document, handlers: api.handlers, objects: api.objects })
  const allowed = new Set(api.scheduled)
  const principalOf = async (accountId: string | null, requestId: string): Promise<Principal> => {
    if (accountId === null) return system
    const { principal } = await auth.call('principal-of', { accountId }, { requestId })
    if (principal) return principal
    throw new Problem(
      403,
      'account_gone',
      'The account for which this was to be done is gone, inactive or has expired.',
    )
  }
  return async ({ accountId, operationId, ...sent }: Request, { requestId, signal }) => {
    if (!allowed.has(operationId)) throw new Error(`${service} does not let "${operationId}" be scheduled`)
    const principal = await principalOf(accountId, requestId)
    const reply = await call({ ...sent, operationId, principal, requestId, signal })
    return { status: reply?.status ?? 204, body: reply?.body ?? null }
  }
}
