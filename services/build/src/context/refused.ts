import { Problem } from '@berth/service'

/** 400 for a context: what is wrong with it, and what to do. */
export function contextRefused(message: string, hint: string, cause?: unknown): Problem {
  return new Problem(400, 'context_refused', `context: ${message}`, { field: 'context', hint, cause })
}
