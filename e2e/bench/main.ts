import { findProgram } from '../servers/programs.ts'
import { rows } from './rows.ts'
import { type Subject, startBerth, startPeer } from './subjects.ts'
import { measureSync } from './sync-rows.ts'
import { type Figures, printSync, printTable } from './table.ts'

const runs = Number(process.argv.find((argument) => argument.startsWith('--runs='))?.slice('--runs='.length) ?? 3)
const only = process.argv.find((argument) => argument.startsWith('--only='))?.slice('--only='.length)

/** Measures Berth and its peers side by side: every row on each in turn, several times over. */
async function main(): Promise<void> {
  for (const needed of ['docker-registry', 'wrk', 'skopeo']) {
    if (!findProgram(needed)) throw new Error(`${needed} is missing: apt-get install docker-registry wrk skopeo`)
  }
  const subjects = [await startBerth(), await startPeer('2.8')]
  if (process.env.BERTH_TEST_DISTRIBUTION) subjects.push(await startPeer('dist. 3'))
  try {
    await measureRows(subjects)
    const [berth] = subjects
    const upstream = subjects.at(-1)
    if (berth && upstream && (!only || 'sync'.includes(only))) printSync(await measureSync(berth, upstream))
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()))
  }
}

async function measureRows(subjects: readonly Subject[]): Promise<void> {
  const figures: Figures = new Map()
  const wanted = rows.filter((row) => !only || row.name.includes(only))
  for (const row of wanted) {
    const ofRow = new Map(subjects.map((subject) => [subject.name, [] as number[]]))
    for (const subject of subjects) await row.prepare?.(subject)
    for (let run = 0; run < runs; run++)
      for (const subject of subjects) ofRow.get(subject.name)?.push(await row.measure(subject))
    figures.set(row, ofRow)
    process.stderr.write(`measured: ${row.name}\n`)
  }
  printTable(
    figures,
    subjects.map((subject) => subject.name),
  )
}

await main()
