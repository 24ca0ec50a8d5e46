import { Problem } from '@berth/service'

/**
 * What a log says of an upstream that does not give what was asked for: no fault of Berth, so an operator needs not see where
 * in our program it was met. `undefined` for every other error.
 */
export function upstreamTrouble(error: unknown): { code: string; reason: string } | undefined {
  if (!(error instanceof Problem)) return undefined
  const { code, message } = error
  return code.startsWith('upstream_') || code === 'no_source' ? { code, reason: message } : undefined
}
