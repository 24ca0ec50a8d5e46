import type { Row } from './rows.ts'
import type { SyncTimes } from './sync-rows.ts'

/** What was measured: for each row and subject, the figures of all runs. */
export type Figures = Map<Row, Map<string, number[]>>

function median(values: readonly number[]): number {
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

/** How long each copier took, and how many times longer than Berth. */
export function syncTable(times: SyncTimes): string {
  const lines = ['| sync of 500 tags | first, s | × Berth | again, s | × Berth |', '| --- | --- | --- | --- | --- |']
  for (const [name, { first, again }] of Object.entries(times)) {
    lines.push(
      `| ${name} | ${show(first)} | ${show(first / (times.berth?.first ?? 1))} | ${show(again)} | ${show(again / (times.berth?.again ?? 1))} |`,
    )
  }
  return lines.join('\n')
}
