/**
 * A result or an error of work without what was said on the way, for those who may see that it ended and not what it met: messages name
 * hosts of upstreams. Codes and counts stay.
 */
export function withoutMessages(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutMessages)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (key === 'message' ? [] : [[key, withoutMessages(inner)]])),
  )
}
