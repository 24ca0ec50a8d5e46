import { type Image, imageOf, slowly } from '@berth/registry-client/misbehaving-upstream'
import { expect, test } from '@jest/globals'
import { query } from '../berth/databases.ts'
import { getManifest, localRemote, make, startSync, versionNumbers } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const killsOfRun = Number(process.env.BERTH_TEST_KILLS ?? 3)
const runs = Number(process.env.BERTH_TEST_RUNS ?? 1)
const seed = Number(process.env.BERTH_TEST_SEED ?? 1)
const tagCount = 8 * killsOfRun
const chunkBytes = 16 << 10
// Each kill costs this: no other worker takes the task before.
const leaseSeconds = 5

const stack = withBerth({ own: true, env: { BERTH_TASK_LEASE_SECONDS: String(leaseSeconds) } })
const upstream = withUpstream()

/** Numbers from 0 to 1 that are the same at each run of the test (mulberry32). */
function random(from: number): () => number {
  let state = from
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** When upstream had sent the last byte of each blob, each time that it was read from its beginning. */
function watchBlobs(name: string): Map<string, number[]> {
  const ended = new Map<string, number[]>()
  const slow = slowly(chunkBytes, 20)
  upstream.when(new RegExp(`GET /v2/${name}/blobs/`), (exchange) => {
    const { request, response } = exchange
    const digest = request.url?.split('/').at(-1) ?? ''
    if (request.headers.range === undefined)
      response.on('finish', () => ended.set(digest, [...(ended.get(digest) ?? []), Date.now()]))
    slow(exchange)
  })
  return ended
}

test.each(Array.from({ length: runs }, (_, i) => seed + i))(
  `a run that is killed ${killsOfRun} times anywhere finishes, and fetches no blob again that had come (seed %i)`,
  async (own) => {
    const name = `killed/run-${own}`
    const images: Image[] = Array.from({ length: tagCount }, (_, i) => imageOf(`${name} ${i}`, 200_000, 300_000 + i))
    images.forEach((image, i) => upstream.add(name, `v${i}`, image))
    const ended = watchBlobs(name)
    await make(stack, '/remotes', localRemote(name, upstream.url, name, { concurrency: 3 }))
    await make(stack, '/repositories', { name })
    await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
    const next = random(own)
    const { id } = await startSync(stack, name, name)
    let kills = 0
    for (; kills < killsOfRun; kills++) {
      const from = upstream.seen.length
      const isBegun = () => upstream.seen.length > from
      // Some while it still asks for tags; then so that most of them get on.
      const livesMs = next() * (next() < 0.25 ? 200 : 3_000)
      const isOver = async () => (await stack.api('GET', `/tasks/${id}`)).body.state === 'completed'
      // Within the lease of the worker before nothing is asked.
      for (const until = Date.now() + 40_000; Date.now() < until && !isBegun() && !(await isOver()); )
        await new Promise((resolve) => void setTimeout(resolve, 5))
      await new Promise((resolve) => void setTimeout(resolve, livesMs))
      if (await isOver()) break
      expect(await longestLease()).toBeLessThanOrEqual(leaseSeconds)
      await stack.kill('SIGKILL')
      const killedAt = Date.now()
      await stack.restart()
      for (const times of ended.values()) times.push(-killedAt)
    }
    expect(await stack.waitForTask(id, 90_000)).toMatchObject({ state: 'completed', result: { version: 1 } })
    upstream.mend()
    expect(kills).toBe(killsOfRun)
    expect(await versionNumbers(stack, name)).toEqual([1, 0])
    for (const [i, image] of images.entries())
      expect((await getManifest(`${stack.url}/v2/${name}/manifests/v${i}`)).digest).toBe(image.manifest.digest)
    expect([...ended].filter(([, times]) => isFetchedAgain(times)).map(([digest]) => digest)).toEqual([])
  },
  60_000 + killsOfRun * 45_000,
)

/** For how many seconds the tasks that run now are still left to their workers. */
async function longestLease(): Promise<number> {
  const sql = 'select extract(epoch from max(lease_until) - now())::float as seconds from tasks.task'
  const [row] = (await query(stack.databaseUrl as string, sql)) as { seconds: number | null }[]
  return row?.seconds ?? 0
}

// What has come is written, flushed and renamed; what ended less than this before a kill may not have been.
const writtenWithinMs = 500

/** Times at which a blob had been sent, and (negative) those of the kills after it. */
function isFetchedAgain(times: number[]): boolean {
  const first = times.findIndex((time) => time > 0)
  const kill = times.slice(first).find((time) => time < 0)
  const isSafe = kill === undefined || -kill - (times[first] ?? 0) >= writtenWithinMs
  return isSafe && times.slice(first + 1).some((time) => time > 0)
}
