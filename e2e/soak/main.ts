import { killWorkers } from '../automation/killed-workers.ts'
import { tortureLocks } from '../automation/lock-torture.ts'
import { basic } from '../berth/basic.ts'
import { pushRandomImage } from '../berth/push.ts'
import { registryPort, startReplica } from '../berth/replicas.ts'
import { startTestStack } from '../berth/stack.ts'
import { berthTarget } from '../conformance/berth.ts'
import { Wire } from '../conformance/wire.ts'
import { nemesis } from '../nemesis/nemesis.ts'
import { startTestServers, stopTestServers } from '../servers/running.ts'
import { exportLarge, mostMiB } from './large-export.ts'
import { importLarge, mostImportMiB } from './large-import.ts'
import { moveTag } from './moving-tag.ts'
import { cutPower } from './power-cut.ts'
import { soak } from './soak.ts'

/** Both `--name=value` and `--name value`. */
function option(name: string): string | undefined {
  const at = process.argv.findIndex((argument) => argument === `--${name}` || argument.startsWith(`--${name}=`))
  const given = process.argv[at]
  if (at < 0 || given === undefined) return undefined
  return given.includes('=') ? given.slice(name.length + 3) : process.argv[at + 1]
}

/**
 * Hours of use in minutes: eight pushers with shared layers, deletes and a collector without grace, then the same with catalog
 * killed every few seconds. `--pushes=N` (2,000), `--seed=N`, `--only=calm|kills`, `--store=files|s3`
 * (MinIO). `nemesis --seed N --minutes 30` does all there is to do while Berth, PostgreSQL and NATS are killed. `replicas
 * --moves=N` (10,000) moves a tag on two replicas. `locks --tasks=N` (1,000) has tasks with shared and exclusive locks claimed. `tasks --tasks=N` (500) kills their
 * workers and the service of tasks. `power-cut --kills=N` (50) kills everything in the middle of pushes and damages what was not flushed; with
 * `--processes` the services are processes of their own. `export --gibibytes=N` (10) exports so much and looks at the memory that it takes, and `import --gibibytes=N` imports it, from a folder and as an upload. Ends with 1 when anything was lost or read wrongly.
 */
async function main(): Promise<void> {
  if (process.argv[2] === 'nemesis') return runNemesis()
  if (process.argv[2] === 'replicas') return runReplicas()
  if (process.argv[2] === 'locks') return runLocks()
  if (process.argv[2] === 'tasks') return runKilledWorkers()
  if (process.argv[2] === 'power-cut') return runPowerCut()
  if (process.argv[2] === 'export') return runExport()
  if (process.argv[2] === 'import') return runImport()
  const pushes = Number(option('pushes') ?? 2_000)
  const seed = Number(option('seed') ?? Date.now() % 1_000_000)
  const only = option('only')
  const store = option('store') ?? 'files'
  if (store !== 'files' && store !== 's3') throw new Error('--store is files or s3')
  await startTestServers()
  try {
    for (const kills of [false, true]) {
      if (only && only !== (kills ? 'kills' : 'calm')) continue
      const name = kills ? 'with kills of catalog' : 'undisturbed'
      process.stdout.write(`${name}, ${store}: ${pushes} pushes, seed ${seed}\n`)
      const report = await soak({ seed, pushes, kills, store })
      process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
      const lost = report.missing.length + report.refused.length + (pushes - report.acknowledged)
      const left = report.objects - report.wanted
      // What was stored by a push that was killed with catalog has no row, and stays for a day.
      if (lost > 0 || left < 0 || (left > 0 && !kills)) process.exitCode = 1
    }
  } finally {
    await stopTestServers()
  }
}

async function runNemesis(): Promise<void> {
  const seed = Number(option('seed') ?? Date.now() % 1_000_000)
  const minutes = Number(option('minutes') ?? 30)
  process.stdout.write(`nemesis: ${minutes} minutes, seed ${seed}\n`)
  const report = await nemesis({ seed, seconds: minutes * 60 })
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
  if (report.violations.length > 0) process.exitCode = 1
}

async function runReplicas(): Promise<void> {
  const moves = Number(option('moves') ?? 10_000)
  await startTestServers()
  const stack = await startTestStack({ env: { BERTH_PROCESSES: 'true' } })
  const replica = await startReplica(stack)
  const wires = [`http://localhost:${registryPort(stack)}`, replica.url].map(
    (url) => new Wire({ ...berthTarget(stack), url }),
  ) as [Wire, Wire]
  try {
    process.stdout.write(`two replicas: ${moves} moves of a tag\n`)
    const repository = 'soak/moving'
    const { text } = await pushRandomImage({ url: stack.url, authorization: basic(stack) }, repository, 'first')
    const wrong = await moveTag({ replicas: wires, repository, manifest: JSON.parse(text) as object, moves })
    process.stdout.write(`${JSON.stringify({ moves, wrong }, null, 2)}\n`)
    if (wrong.length > 0) process.exitCode = 1
  } finally {
    for (const wire of wires) wire.close()
    await replica.stop()
    await stack.stop()
    await stopTestServers()
  }
}

async function runLocks(): Promise<void> {
  const seed = Number(option('seed') ?? Date.now() % 1_000_000)
  const tasks = Number(option('tasks') ?? 1_000)
  await startTestServers()
  try {
    const report = await tortureLocks({ seed, tasks, resources: 50, replicas: 3, claimers: 24 })
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    if (report.violations.length > 0) process.exitCode = 1
  } finally {
    await stopTestServers()
  }
}

async function runKilledWorkers(): Promise<void> {
  const seed = Number(option('seed') ?? Date.now() % 1_000_000)
  const tasks = Number(option('tasks') ?? 500)
  await startTestServers()
  try {
    const report = await killWorkers({ seed, tasks })
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    if (report.states.completed !== tasks || report.doubled + report.missing > 0) process.exitCode = 1
  } finally {
    await stopTestServers()
  }
}

async function runPowerCut(): Promise<void> {
  const seed = Number(option('seed') ?? Date.now() % 1_000_000)
  const rounds = Number(option('kills') ?? 50)
  const env = { BERTH_PROCESSES: String(process.argv.includes('--processes')) }
  await startTestServers()
  const stack = await startTestStack({ embeddedDatabase: true, ownGroup: true, env })
  try {
    process.stdout.write(`power cut: ${rounds} kills of everything, seed ${seed}\n`)
    const report = await cutPower(stack, { seed, rounds })
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    if (report.wrong.length > 0 || report.damaged === 0) process.exitCode = 1
  } finally {
    await stack.stop()
    await stopTestServers()
  }
}

async function runExport(): Promise<void> {
  const gibibytes = Number(option('gibibytes') ?? 10)
  await startTestServers()
  const stack = await startTestStack({ env: { BERTH_PROCESSES: 'true' } })
  try {
    process.stdout.write(`export: ${gibibytes} GiB\n`)
    const report = await exportLarge(stack, gibibytes)
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    if (!report.isWhole || report.mostMiB > mostMiB) process.exitCode = 1
  } finally {
    await stack.stop()
    await stopTestServers()
  }
}

async function runImport(): Promise<void> {
  const gibibytes = Number(option('gibibytes') ?? 10)
  await startTestServers()
  const stack = await startTestStack({ env: { BERTH_PROCESSES: 'true' } })
  try {
    process.stdout.write(`import: ${gibibytes} GiB\n`)
    const report = await importLarge(stack, gibibytes)
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    if (!report.isWhole || report.mostMiB > mostImportMiB) process.exitCode = 1
  } finally {
    await stack.stop()
    await stopTestServers()
  }
}

const exitKilled = () => process.exit(1)
// Killed in the middle, it leaves no server behind.
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void stopTestServers().then(exitKilled, exitKilled))
await main()
