import type { Row } from './rows.ts'
import type { SyncTimes } from './sync-rows.ts'

/** What was measured: for each row and subject, the figures of all runs. */
export type Figures = Map<Row, Map<string, number[]>>

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

function show(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US')
  return value.toFixed(value >= 10 ? 1 : 2)
}

/** Medians, the ratio of Berth to each peer, and whether it reaches its goal, as a Markdown table. */
export function ratioTable(figures: Figures, names: readonly string[]): string {
  const peers = names.slice(1)
  const lines = [
    `| Work | unit | ${names.join(' | ')} | ${peers.map((peer) => `vs ${peer} (goal)`).join(' | ')} |`,
    `|${' --- |'.repeat(2 + names.length + peers.length)}`,
  ]
  for (const [row, ofRow] of figures) {
    const medians = names.map((name) => median(ofRow.get(name) ?? []))
    const ratios = peers.map((peer, i) => ratio(row, peer, (medians[0] ?? Number.NaN) / (medians[i + 1] ?? Number.NaN)))
    lines.push(`| ${row.name} | ${row.unit} | ${medians.map(show).join(' | ')} | ${ratios.join(' | ')} |`)
  }
  return lines.join('\n')
}

function ratio(row: Row, peer: string, value: number): string {
  const goal = row.goals[peer]
  const shown = `${value.toFixed(2)}×`
  if (goal === undefined) return shown
  const isTime = row.unit === 's' || row.unit === 'ms'
  const reached = isTime ? value <= goal : value >= goal
  return `${shown} (${isTime ? '≤' : '≥'} ${goal.toFixed(2)}×${reached ? '' : ', missed'})`
}

/** How many times as long as Berth a copier has to take at least, for Berth to reach its goal. */
const syncGoals: Record<string, { first?: number; again?: number }> = {
  crane: { first: 2, again: 3 },
  skopeo: { first: 10 },
}

/** How long each copier took, and how many times longer than Berth: medians of the runs. */
export function syncTable({ cold, byCopier }: SyncTimes): string {
  const of = (name: string, which: 'first' | 'again') => median((byCopier.get(name) ?? []).map((run) => run[which]))
  const cells = (name: string, which: 'first' | 'again') => {
    const seconds = of(name, which)
    const value = seconds / of('berth', which)
    const goal = syncGoals[name]?.[which]
    const told = goal === undefined ? '' : ` (≥ ${goal}×${value >= goal ? '' : ', missed'})`
    return `${show(seconds)} | ${show(value)}×${told}`
  }
  const own = (byCopier.get('berth') ?? []).map(({ first }) => show(first)).join(', ')
  return [
    '| sync of 500 tags | first, s | to Berth (goal) | again, s | to Berth (goal) |',
    '| --- | --- | --- | --- | --- |',
    ...[...byCopier.keys()].map((name) => `| ${name} | ${cells(name, 'first')} | ${cells(name, 'again')} |`),
    '',
    `Berth may ask for 32 things at once there. Its first syncs one after the other: ${own} s, and before them the very first of its process: ${show(cold)} s.`,
  ].join('\n')
}
