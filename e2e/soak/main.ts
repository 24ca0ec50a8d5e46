import { startTestServers, stopTestServers } from '../servers/running.ts'
import { soak } from './soak.ts'

const option = (name: string) =>
  process.argv.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3)

/**
 * Hours of use in minutes: eight pushers with shared layers, deletes and a collector without grace, then the same with catalog
 * killed every few seconds. `--pushes=N` (2,000), `--seed=N`, `--only=calm|kills`, `--store=files|s3`
 * (MinIO). Ends with 1 when anything was lost.
 */
async function main(): Promise<void> {
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
      if (lost > 0 || report.objects !== report.wanted) process.exitCode = 1
    }
  } finally {
    await stopTestServers()
  }
}

const exitKilled = () => process.exit(1)
// Killed in the middle, it leaves no server behind.
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void stopTestServers().then(exitKilled, exitKilled))
await main()
