import type { Entry } from './entry.ts'

const columns: Record<string, (entry: Entry) => string | number | null> = {
  at: ({ at }) => at.toISOString(),
  actor: ({ actor }) => actor,
  actorId: ({ actorId }) => actorId,
  action: ({ action }) => action,
  objectKind: ({ objectKind }) => objectKind,
  object: ({ object }) => object,
  objectId: ({ objectId }) => objectId,
  detail: ({ detail }) => detail,
  namespace: ({ namespace }) => namespace,
  result: ({ result }) => result,
  count: ({ count }) => count,
  address: ({ address }) => address,
  requestId: ({ requestId }) => requestId,
  service: ({ service }) => service,
  number: ({ number }) => number,
}

/** The first line: what the columns are called. */
export const csvHead = `${Object.keys(columns).join(',')}\r\n`

/** One line of CSV (RFC 4180). */
export function csvLine(entry: Entry): string {
  return `${Object.values(columns)
    .map((of) => cell(of(entry)))
    .join(',')}\r\n`
}

// What begins so a spreadsheet takes for a formula, and names are what a stranger has chosen
// (https://owasp.org/www-community/attacks/CSV_Injection).
const formula = /^[=+\-@\t\r\n]/

function cell(value: string | number | null): string {
  if (value === null) return ''
  if (typeof value === 'number') return String(value)
  const text = formula.test(value) ? `'${value}` : value
  return `"${text.replaceAll('"', '""')}"`
}
