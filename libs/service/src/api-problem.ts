import { faultText, fieldName } from './api-faults.ts'
import { databaseProblem } from './database-away.ts'
import { Problem } from './problem.ts'

const mostFaults = 20

type ValidationFault = { path: string; message: string }
/** `type` is the kind of fault that the reader of bodies names. */
type Refused = { status: number; errors: ValidationFault[]; message: string; type: string }

/** Translates what Express and the validator throw; ours passes unchanged. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  const away = databaseProblem(error)
  if (away) return away
  const { status, errors, message, type } = error as Partial<Refused>
  if (status === 400 && type === 'entity.parse.failed') return notJson(message)
  if (status === 404 || status === 405 || status === 415) return pathProblem(status, message ?? '')
  if (Array.isArray(errors) && status !== undefined && status < 500) {
    const faults = errors
      .slice(0, mostFaults)
      .map(({ path, message: fault }) => ({ field: fieldName(path), message: faultText(fault) }))
    const [first] = faults
    const detail = faults.map((fault) => `${fault.field}: ${fault.message}`).join('; ')
    return new Problem(status, 'invalid_request', detail || (message ?? ''), {
      ...(first ? { field: first.field, hint: 'GET /api/v1/openapi.json says what each field takes.' } : {}),
      more: { faults },
    })
  }
  if (status !== undefined && status >= 400 && status < 500)
    return new Problem(status, 'invalid_request', message ?? 'The request cannot be read.', { cause: error })
  return new Problem(
    500,
    'internal_error',
    'Something went wrong in Berth; nothing was changed unless a task says so.',
    { hint: 'The log has the reason under the traceId.', cause: error },
  )
}

/** What JSON.parse says quotes the body, which may hold a secret. */
function notJson(message = ''): Problem {
  const [place = ''] = /at position \d+/.exec(message) ?? []
  return new Problem(400, 'invalid_request', `The body is not JSON${place && ` ${place}`}.`, {
    hint: 'Texts stand in double quotes, and nothing follows the last field.',
  })
}

/** A path, a verb or a type of body that the document does not know. */
function pathProblem(status: 404 | 405 | 415, message: string): Problem {
  if (status === 415) return new Problem(415, 'unsupported_media_type', message, { hint: 'Send application/json.' })
  const code = status === 404 ? 'no_such_path' : 'no_such_verb'
  const detail =
    status === 404 ? 'There is nothing under this path.' : 'This cannot be done with what is under this path.'
  const hint =
    'A slash in a name is written as %2F, as in /repositories/library%2Falpine. GET /api/v1/openapi.json lists what there is.'
  return new Problem(status, code, detail, { hint })
}
