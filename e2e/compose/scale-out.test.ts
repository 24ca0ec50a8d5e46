import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { readEvents } from '../berth/events.ts'
import { until } from '../berth/processes.ts'
import { type Acknowledged, expectServed } from '../berth/pushed-images.ts'
import { localRemote, make, versionNumbers } from '../berth/requests.ts'
import { missingPrograms } from '../servers/programs.ts'
import { borrowUpstreams, upstreamName, upstreamPrograms } from '../servers/upstreams.ts'
import { type Composed, composeFolder, composeMissing, images, startCompose } from './compose.ts'
import { forwardTo } from './forward.ts'
import { type Jobs, startJobs } from './jobs.ts'
import { type Load, startLoad } from './load.ts'
import { measure } from './measure.ts'

const missing = composeMissing() ?? upstreamMissing() ?? process.env.BERTH_TEST_NO_S3
const group = missing ? describe.skip : describe
const killed = ['registry', 'catalog', 'sync', 'tasks', 'auth'] as const
const patienceMs = 600_000
// So that a sync takes some seconds, and is under way when its worker is killed.
const lateMs = 250

group(`Berth by docker compose on a bucket, with two replicas of each service${missing ? ` (${missing})` : ''}`, () => {
  let composed: Composed
  let endForward: () => Promise<void>
  let load: Load
  let jobs: Jobs
  const acknowledged: Acknowledged[] = []
  const mirrored: Jobs['mirrored'][number][] = []

  beforeAll(async () => {
    const upstreams = await borrowUpstreams()
    const replicas = { registry: 2, catalog: 2, sync: 2, tasks: 2, auth: 2 }
    const minio = fileURLToPath(new URL('minio.yaml', import.meta.url))
    const env = {
      BERTH_MINIO_IMAGE: images.standIn,
      BERTH_S3_ENDPOINT: 'http://minio:9000',
      BERTH_S3_BUCKET: 'berth',
      BERTH_S3_ACCESS_KEY: 'berth',
      BERTH_S3_SECRET_KEY: 'a key of the tests',
    }
    composed = await startCompose(replicas, { files: [`${composeFolder}docker-compose.s3.yaml`, minio], env })
    endForward = await forwardTo(composed.gateway, Number(new URL(upstreams.open.url).port), lateMs)
    const url = upstreams.open.url.replace(new URL(upstreams.open.url).hostname, composed.gateway)
    await make(composed.stack, '/remotes', localRemote('upstream', url, upstreamName))
  }, patienceMs)
  afterAll(async () => {
    await Promise.all([load?.stop(), jobs?.stop()])
    await endForward?.()
    await composed?.stop()
  }, 120_000)

  /** Lets clients do all of the main job, in a namespace of their own, while something happens to the services. */
  const whileClientsWork = async (name: string, happens: () => Promise<void>) => {
    load = startLoad(composed.stack, { pushers: 2, pullers: 2, namespace: `load-${name}` })
    jobs = startJobs(composed.stack, { movers: 1, mirrors: 2, remote: 'upstream', name })
    await load.settle(4)
    await happens()
    await Promise.all([load.stop(), jobs.stop()])
    const retried = load.retried.length + jobs.retried.length
    tell(
      `${name}: ${load.acknowledged.length} pushes, ${load.pulls} pulls, ${jobs.moves} moves, ${said(jobs)}; tried again: ${retried}`,
    )
    acknowledged.push(...load.acknowledged)
    mirrored.push(...jobs.mirrored)
    expect([...load.failed, ...jobs.failed]).toEqual([])
    expect(jobs.moves).toBeGreaterThan(0)
    for (const { task } of jobs.mirrored)
      expect(task).toMatchObject({ state: 'completed', error: null, result: { version: 1 } })
    await expectServed(composed.stack, load.acknowledged)
  }
  const start = async (container: string) => {
    await composed.docker(['start', container])
    await composed.healthy(container)
  }

  test.each(killed)(
    'each replica of %s is killed in turn: no job fails that a client tries again, and nothing acknowledged is lost',
    async (service) => {
      await whileClientsWork(service, async () => {
        for (const container of await composed.containers(service)) {
          await composed.docker(['kill', container])
          await load.settle(6)
          await start(container)
          await load.settle(2)
        }
      })
    },
    patienceMs,
  )

  test(
    'syncs whose workers are all killed end well once there are some again',
    async () => {
      await whileClientsWork('workers', async () => {
        const { stack } = composed
        await until('syncs run', async () => {
          const { status, body } = await stack.api('GET', '/tasks?state=running&kind=sync')
          return status === 200 && body.items.length >= 2
        })
        const workers = await composed.containers('sync')
        const before = jobs.mirrored.length
        await composed.docker(['kill', ...workers])
        await load.settle(2)
        await Promise.all(workers.map(start))
        await until('syncs have ended', () => jobs.mirrored.length >= before + 2, 150_000)
      })
    },
    patienceMs,
  )

  test.each(['postgres', 'nats'] as const)(
    'a restart of %s: no job fails that a client tries again, and nothing acknowledged is lost',
    async (server) => {
      await whileClientsWork(server, async () => {
        const [container = ''] = await composed.containers(server)
        await composed.docker(['restart', '--time=60', container])
        await composed.healthy(container)
        await load.settle(6)
      })
    },
    patienceMs,
  )

  test(
    'after all of that everything acknowledged is served, and each sync was done once: one version, one announcement',
    async () => {
      const { stack, events } = composed
      await expectServed(stack, acknowledged)
      for (const { repository } of mirrored) expect(await versionNumbers(stack, repository)).toEqual([1, 0])
      const ended = () => readEvents(events, 'SYNC', 'berth.v1.sync.run.completed.')
      const timesOf = async () => {
        const tasks = (await ended()).map(({ data }) => (data as { taskId: string }).taskId)
        return mirrored.map(({ task }) => tasks.filter((id) => id === task.id).length)
      }
      await until('all ends are announced', async () => !(await timesOf()).includes(0), 60_000)
      expect(new Set(await timesOf())).toEqual(new Set([1]))
    },
    patienceMs,
  )

  test(
    'pushes and pulls of one replica of registry and of two',
    async () => {
      const [, other = ''] = await composed.containers('registry')
      tell(`two replicas of registry: ${await measure(composed.stack, 'two')}`)
      await composed.docker(['stop', '--time=90', other])
      tell(`one replica of registry: ${await measure(composed.stack, 'one')}`)
      await start(other)
    },
    patienceMs,
  )
})

function upstreamMissing(): string | undefined {
  const programs = missingPrograms(...upstreamPrograms)
  return programs.length > 0 ? `not installed: ${programs.join(', ')}` : undefined
}

function said({ mirrored }: Jobs): string {
  return `${mirrored.length} syncs, the longest ${Math.max(0, ...mirrored.map(({ tookMs }) => tookMs))} ms`
}

// Figures for whoever runs it.
function tell(line: string): void {
  process.stderr.write(`${line}\n`)
}
