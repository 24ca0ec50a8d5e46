import type { RequestHandler } from 'express'
import { Problem } from './problem.ts'

/**
 * Refuses a request with text that no database keeps: U+0000, and halves of surrogate pairs. JSON and URLs can say both, and
 * PostgreSQL would fail on them wherever they are used. In one place, because every field could hold them.
 */
export const refuseUnstorableText: RequestHandler = (request, _response, next) => {
  const field = request.path.includes('%00') ? 'path' : (findUnstorable(request.query) ?? findUnstorable(request.body))
  if (field === undefined) return next()
  throw new Problem(400, 'invalid_request', `${field} holds a character that cannot be stored.`, {
    field,
    hint: 'Leave out U+0000, and halves of surrogate pairs.',
  })
}

/** The field whose name or value cannot be stored. Not by recursion: how deep a body nests is its sender's choice. */
function findUnstorable(value: unknown): string | undefined {
  const open: { value: unknown; field: string }[] = [{ value, field: '' }]
  for (let next = open.pop(); next; next = open.pop()) {
    const { value, field } = next
    if (typeof value === 'string' && !isStorable(value)) return field
    if (typeof value !== 'object' || value === null) continue
    for (const [key, inner] of Object.entries(value)) {
      if (!isStorable(key)) return field || 'the name of a field'
      // The outermost field names the place well enough, and such a name stays short.
      open.push({ value: inner, field: field || key })
    }
  }
  return undefined
}

/** Whether a database keeps a text. */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}
