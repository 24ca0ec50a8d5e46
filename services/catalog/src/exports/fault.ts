import { Problem } from '@berth/service'

const mostNamed = 20

/** What ends an export, with what to do about it; the task tells both. */
export function exportFault(code: string, message: string, hint: string): Problem {
  return new Problem(409, code, message, { hint })
}

/** `a, b and 7 more`: as many as fit into a message. */
export function named(list: readonly string[], total = list.length): string {
  const shown = list.slice(0, mostNamed).join(', ')
  return total > mostNamed ? `${shown} and ${total - mostNamed} more` : shown
}
