import type { CommandClient, OperationCommands } from '@berth/commands'
import { Problem } from '@berth/service'

type Owner = CommandClient<OperationCommands>
/** The operation of another service's API that a kind of schedule calls. */
type Operation = { owner: 'catalog' | 'sync'; operationId: string; inPath?: 'repository' }

/** What can be done again and again, each as the operation that it stands for. */
const operations = {
  sync: { owner: 'sync', operationId: 'startSync' },
  retention: { owner: 'catalog', operationId: 'applyRetention', inPath: 'repository' },
  gc: { owner: 'catalog', operationId: 'collectStore' },
  scrub: { owner: 'catalog', operationId: 'scrubStore' },
  reclaim: { owner: 'catalog', operationId: 'reclaimStore' },
  export: { owner: 'catalog', operationId: 'createExport' },
  import: { owner: 'catalog', operationId: 'createImport' },
  mirror: { owner: 'catalog', operationId: 'writeStaticMirror' },
} as const satisfies Record<string, Operation>

type ScheduleKind = keyof typeof operations
/** Of those that `retention` otherwise does one of. */
const retentionOfAll: Operation = { owner: 'catalog', operationId: 'applyAllRetention' }

export type Owners = Record<'catalog' | 'sync', Owner>

type Call = {
  kind: string
  parameters: Record<string, unknown>
  accountId: string | null
  taskId: string
  checkOnly?: boolean
}

/**
 * Does what a schedule is for, as the request of the API that it stands for and with the rights that the account has now. Throws what
 * that answers.
 */
export async function callOperation(
  owners: Owners,
  { kind, parameters, ...more }: Call,
  options: { requestId?: string; signal?: AbortSignal } = {},
): Promise<{ status: number; body: unknown }> {
  const isOfAll = kind === 'retention' && parameters.allRepositories === true
  const operation: Operation | undefined = isOfAll ? retentionOfAll : operations[kind as ScheduleKind]
  if (!operation) throw new Problem(500, 'internal_error', `nothing is known of schedules of kind ${kind}`)
  const { owner, operationId, inPath } = operation
  const params: Record<string, string> = {}
  const body = { ...parameters }
  if (isOfAll) delete body.allRepositories
  if (inPath) {
    const named = body[inPath]
    if (typeof named !== 'string' || named === '')
      throw new Problem(422, 'invalid_parameters', `parameters.${inPath}: is missing`, {
        field: `parameters.${inPath}`,
      })
    params[inPath] = named
    delete body[inPath]
  }
  return owners[owner].call('call-operation', { operationId, params, body, ...more }, options)
}
