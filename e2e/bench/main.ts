import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { findProgram } from '../servers/programs.ts'
import { measureAccess } from './access.ts'
import { measureEvents } from './events.ts'
import { measureImports } from './imports.ts'
import { measureMemory } from './memory.ts'
import { measureResync } from './resync.ts'
import { type Row, rows, rowsOnMinio } from './rows.ts'
import { settleDisk } from './run-command.ts'
import { measureScale } from './scale.ts'
import { type Subject, startBerth, startOnMinio, startPeer } from './subjects.ts'
import { measureSync } from './sync-rows.ts'
import { type Figures, ratioTable, syncTable } from './table.ts'
import { measureTasks } from './tasks.ts'
import { measureTransfer } from './transfer.ts'
import { measureVersions } from './versions.ts'

const option = (name: string) =>
  process.argv.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3)
const runs = Number(option('runs') ?? 3)
const only = option('only')
const isWanted = (part: string) => !only || part.startsWith(only)
const document = new URL('../../docs/benchmarks.md', import.meta.url)

/**
 * Measures Berth and its peers side by side: every row on each in turn, several times over. `--runs=N`; `--only=` part of a
 * row's name, or memory, sync, resync, scale, access, events, export, import, tasks; `--write` puts the tables into docs/benchmarks.md.
 */
async function main(): Promise<void> {
  for (const needed of ['docker-registry', 'wrk', 'skopeo']) {
    if (!findProgram(needed)) throw new Error(`${needed} is missing: apt-get install docker-registry wrk skopeo`)
  }
  const subjects = [await startBerth(), await startPeer('2.8')]
  if (process.env.BERTH_TEST_DISTRIBUTION) subjects.push(await startPeer('dist. 3'))
  try {
    const [berth] = subjects
    const memory = berth && isWanted('memory') ? [await measureMemory(berth)] : []
    await settleDisk()
    const tables = [...(await measureRows(subjects, rows)), ...(await measureOnMinio())]
    if (berth && isWanted('sync')) tables.push(syncTable(await measureSync(berth, runs)))
    if (berth && isWanted('resync')) tables.push(await measureResync(berth))
    if (berth && isWanted('scale')) tables.push(await measureScale(berth), await measureVersions(berth, 'scale/many'))
    if (berth && isWanted('access')) tables.push(await measureAccess(berth))
    if (isWanted('events')) tables.push(await measureEvents())
    if (berth && isWanted('export')) tables.push(await measureTransfer(berth, runs))
    if (isWanted('import')) tables.push(await measureImports(runs))
    if (isWanted('tasks')) tables.push(await measureTasks(runs))
    tables.push(...memory)
    process.stdout.write(`${tables.join('\n\n')}\n`)
    if (process.argv.includes('--write')) writeFileSync(document, page(tables))
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()))
  }
}

function page(tables: readonly string[]): string {
  return `# Berth beside other registries

Written by \`npm run bench -- --write\` on ${new Date().toISOString().slice(0, 10)}: Node ${process.version}, ${availableParallelism()} cores shared by the
registries and the load, medians of ${runs} runs in turn, everything on loopback and one disk. Berth runs with authentication, on the file
system, and answers a push when its bytes are durable; the peers run open, as they are packaged. "2.8" is Debian's
docker-registry, "dist. 3" is distribution 3. In rows that begin with "MinIO:" both keep their blobs in one bucket of a MinIO that
shares the cores with them, and clients get them from the registry. Ratios count, not the numbers; a goal that is missed says so.

${tables.join('\n\n')}
`
}

async function measureOnMinio(): Promise<string[]> {
  if (wantedOf(rowsOnMinio).length === 0) return []
  if (!process.env.BERTH_TEST_MINIO || !process.env.BERTH_TEST_DISTRIBUTION) {
    process.stderr.write('not measured: reads and pushes on MinIO, as it or distribution 3 is missing: install Go\n')
    return []
  }
  const { subjects, stop } = await startOnMinio()
  try {
    return await measureRows(subjects, rowsOnMinio)
  } finally {
    await stop()
  }
}

function wantedOf(all: readonly Row[]): readonly Row[] {
  return all.filter((row) => !only || row.name.includes(only))
}

async function measureRows(subjects: readonly Subject[], all: readonly Row[]): Promise<string[]> {
  const figures: Figures = new Map()
  const wanted = wantedOf(all)
  if (wanted.length === 0) return []
  for (const row of wanted) {
    const ofRow = new Map(subjects.map((subject) => [subject.name, [] as number[]]))
    for (const subject of subjects) await row.prepare?.(subject)
    for (let run = 0; run < runs; run++)
      for (const subject of subjects) ofRow.get(subject.name)?.push(await row.measure(subject))
    figures.set(row, ofRow)
    process.stderr.write(`measured: ${row.name}\n`)
  }
  const names = subjects.map((subject) => subject.name)
  return [ratioTable(figures, names)]
}

await main()
