import { randomUUID } from 'node:crypto'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type BlobStore, createFileSystemStore, createS3Store } from '@berth/blobs'
import { until } from '../berth/processes.ts'
import { pidOf } from '../berth/replicas.ts'
import { startTestStack, type TestStack } from '../berth/stack.ts'
import { type S3Place, testS3Place } from '../servers/s3-place.ts'
import { findMissing, type Kept, type Pushed, type Pushing, randomOf, runPushers, soakRepositories } from './pushers.ts'

export type SoakOptions = {
  seed: number
  pushes: number
  /** Kills catalog without warning every few seconds. */
  kills: boolean
  /** Where the bytes are: in a directory, or in a bucket of its own of the S3 server that the tests share. */
  store?: 'files' | 's3'
}
export type SoakReport = Omit<Pushed, 'kept'> & {
  kept: number
  missing: string[]
  /** Objects that were left in the store in the end, and those that what is kept consists of. */
  objects: number
  wanted: number
  kills: number
  seconds: number
}

// Longer than a push takes, on a machine that does other things beside it too.
const calmLeaseSeconds = 4
// Longer than catalog is away: a yes that was given must stay true until its manifest comes.
const killLeaseSeconds = 30
const goneWithinMs = 60_000

/** Pushes to a real Berth while its collector runs every second with no grace at all, and looks what is there in the end. */
export async function soak({ seed, pushes, kills, store = 'files' }: SoakOptions): Promise<SoakReport> {
  const s3 = store === 's3' ? testS3Place(`soak-${randomUUID()}`) : undefined
  if (store === 's3' && !s3) throw new Error(`there is no S3 server: ${process.env.BERTH_TEST_NO_S3}`)
  const leaseSeconds = kills ? killLeaseSeconds : calmLeaseSeconds
  const stack = await startTestStack({
    env: {
      BERTH_GC_INTERVAL_SECONDS: '1',
      BERTH_GC_GRACE_SECONDS: '0',
      BERTH_PUSH_LEASE_SECONDS: String(leaseSeconds),
      BERTH_PROCESSES: String(kills),
    },
    external: s3 ? { s3 } : {},
  })
  try {
    return await soakStack(stack, { seed, pushes, kills, s3 })
  } finally {
    await stack.stop()
  }
}

async function soakStack(
  stack: TestStack,
  { seed, pushes, kills, s3 }: SoakOptions & { s3: S3Place | undefined },
): Promise<SoakReport> {
  for (const name of soakRepositories) {
    await make(stack, '/repositories', { name, retainVersions: 1 })
    await make(stack, '/distributions', { name, basePath: name, repository: name })
  }
  const target = { url: stack.url, authorization: `Basic ${btoa(`${stack.user}:${stack.password}`)}` }
  const pushing: Pushing = { target: () => target, seed, pushes, unreliable: kills }
  const over = new AbortController()
  const startedAt = Date.now()
  const killing: Promise<number> = kills ? killCatalog(stack, randomOf(seed), over.signal) : Promise.resolve(0)
  killing.catch(() => over.abort())
  const pushed = await runPushers(pushing, over.signal).finally(() => over.abort())
  const seconds = Math.round((Date.now() - startedAt) / 1000)
  const killed = await killing
  const { kept, ...counts } = pushed
  await until('catalog is back', () => isBack(stack), goneWithinMs)
  const missing = await findMissing(pushing, kept)
  const wanted = wantedOf(kept)
  const objects = await countWhenCollected(
    s3 ? createS3Store(s3) : createFileSystemStore({ root: path.join(stack.home, 'blobs') }),
    wanted.size,
  )
  // Once more, when everything that could go is gone.
  missing.push(...(await findMissing(pushing, kept)))
  return { ...counts, kept: kept.length, missing, objects, wanted: wanted.size, kills: killed, seconds }
}

async function make(stack: TestStack, path: string, body: unknown): Promise<void> {
  const answer = await stack.api('POST', path, body)
  if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
}

function wantedOf(kept: readonly Kept[]): Set<string> {
  return new Set(kept.flatMap(({ digest, blobs }) => [digest, ...blobs]))
}

/**
 * How many objects the store has once the collector has come to its end: as many as are wanted, or whatever there is after a
 * while.
 */
async function countWhenCollected(store: BlobStore, wanted: number): Promise<number> {
  try {
    const deadline = Date.now() + goneWithinMs
    for (;;) {
      const objects = (await Array.fromAsync(store.walk())).length
      if (objects === wanted || Date.now() > deadline) return objects
      await pause(250)
    }
  } finally {
    await store.close()
  }
}

/** Kills catalog again a few seconds after it has come back, each time. Answers how often. */
async function killCatalog(stack: TestStack, random: () => number, signal: AbortSignal): Promise<number> {
  for (let kills = 0; ; kills++) {
    await pause(3_000 + random() * 5_000, undefined, { signal }).catch(() => 'over')
    if (signal.aborted) return kills
    const killed = pidOf(stack, 'catalog')
    process.kill(killed, 'SIGKILL')
    await until('catalog is back', () => isBack(stack), goneWithinMs)
  }
}

async function isBack(stack: TestStack): Promise<boolean> {
  return (await stack.api('GET', '/repositories')).status === 200
}
