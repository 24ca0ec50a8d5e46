import { Problem } from '@berth/service'

/** What is wrong with a Containerfile, at which line (the first is 1), and what to do. */
export type Fault = { line: number; message: string; hint: string }

const mostFaults = 50

/** 400 with all faults: the first as its sentence, all of them with their lines beside it. */
export function refuse(faults: readonly Fault[]): Problem {
  const sorted = [...faults].sort((a, b) => a.line - b.line).slice(0, mostFaults)
  const [first] = sorted
  if (!first) throw new Error('there is no fault')
  const others = faults.length === 1 ? '' : ` (and ${faults.length - 1} more)`
  return new Problem(400, 'containerfile_refused', `Containerfile:${first.line}: ${first.message}${others}`, {
    field: 'containerfile',
    hint: first.hint,
    more: { line: first.line, faults: sorted },
  })
}
