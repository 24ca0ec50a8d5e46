import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import type { ApiHandler, ApiReply, ApiRequest } from './api.ts'
import { type ObjectFinders, readRule, requireLogin, requireRights } from './api-access.ts'
import type { ApiDocument, Operation } from './api-document.ts'
import { faultText, fieldName } from './api-faults.ts'
import { withAudit } from './audit-entry.ts'
import { entryOf, readSubject } from './audit-subject.ts'
import { actorOf, type Principal } from './principal.ts'
import { Problem } from './problem.ts'

/** A request of the API that comes from within: of somebody who asked for it to be done later. */
export type OperationCall = {
  operationId: string
  params: Record<string, string>
  body: unknown
  principal: Principal
  requestId: string
  /** The id of the task that it makes, so that the same request again is the same task. */
  taskId: string
  signal: AbortSignal
  /** Only says whether it would be let in: nothing is done. */
  checkOnly?: boolean
}

/**
 * Calls operations of an API as its listener does: the body is compared with the document, `x-access` is decided for the caller, and the
 * same handler answers. Throws what that throws, and 422 with `parameters.` before the field for a body that is none.
 */
export function createOperationCaller(api: {
  document: ApiDocument
  handlers: Record<string, ApiHandler>
  objects?: ObjectFinders | undefined
}): (call: OperationCall) => Promise<ApiReply | undefined> {
  // Made when it is first needed: it takes a tenth of a second of every start.
  let known: Ajv2020 | undefined
  const validator = () => {
    known ??= validatorOf(api.document)
    return known
  }

  const operationOf = (id: string): { operation: Operation; path: string; pointer: string } => {
    for (const [path, item] of Object.entries(api.document.paths))
      for (const [method, operation] of Object.entries(item))
        if (operation.operationId === id)
          return { operation, path, pointer: `/paths/${path.replaceAll('~', '~0').replaceAll('/', '~1')}/${method}` }
    throw new Error(`there is no operation "${id}"`)
  }

  return async ({ operationId, principal, checkOnly = false, ...sent }) => {
    const { operation, path, pointer } = operationOf(operationId)
    const rule = readRule(operation['x-access'], operationId)
    const handler = api.handlers[operationId]
    if (!handler) throw new Error(`the operation "${operationId}" has no handler`)
    requireLogin(rule, principal, operationId)
    const body = structuredClone(sent.body ?? {})
    checkBody(validator(), `api#${pointer}/requestBody/content/application~1json/schema`, body)
    const request = { ...sent, body, query: {} as Record<string, unknown>, principal }
    await requireRights(rule, principal, request, { objects: api.objects ?? {}, what: `call ${operationId}` })
    if (checkOnly) return undefined
    const subject = readSubject(operation, path)
    const by = { action: operationId, actor: actorOf(principal), address: null, requestId: sent.requestId }
    const entry = subject && (await entryOf(subject, request, api.objects ?? {}, by))
    // It has no bare answer: what streams is not called so.
    return withAudit(entry, () => handler(request as Omit<ApiRequest, 'response'> as never))
  }
}

function validatorOf(document: ApiDocument): Ajv2020 {
  const ajv = new Ajv2020({ allErrors: true, strict: false, useDefaults: true })
  // The package is CommonJS: its default export is the function only behind `default` for some loaders.
  const addFormats = (formats as unknown as { default?: typeof formats }).default ?? formats
  ;(addFormats as unknown as (target: Ajv2020) => void)(ajv)
  ajv.addSchema(document, 'api')
  return ajv
}

function checkBody(ajv: Ajv2020, reference: string, body: unknown): void {
  const validate = ajv.getSchema(reference) ?? ajv.compile({ $ref: reference })
  if (validate(body)) return
  const faults = (validate.errors ?? []).map(({ instancePath, keyword, params, message = '' }) => {
    const named =
      keyword === 'required'
        ? `/${params.missingProperty}`
        : keyword === 'additionalProperties'
          ? `/${params.additionalProperty}`
          : ''
    const field = fieldName(`/body${instancePath}${named}`)
    return { field: field === 'body' ? 'parameters' : `parameters.${field}`, message: faultText(message) }
  })
  throw new Problem(422, 'invalid_parameters', faults.map(({ field, message }) => `${field}: ${message}`).join('; '), {
    ...(faults[0] ? { field: faults[0].field } : {}),
    more: { faults },
  })
}
