import { once } from 'node:events'
import { get } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { expectServed } from '../berth/pushed-images.ts'
import { make } from '../berth/requests.ts'
import { type Composed, composeMissing, startCompose } from './compose.ts'
import { type Load, startLoad } from './load.ts'

const missing = composeMissing()
const group = missing ? describe.skip : describe
const restarted = ['registry', 'catalog', 'sync', 'tasks', 'auth', 'build'] as const
// One of each.
const servers = ['postgres', 'nats', 'proxy'] as const
const patienceMs = 600_000

group(
  `Berth by docker compose, with two replicas of each service, while clients push and pull${missing ? ` (${missing})` : ''}`,
  () => {
    let composed: Composed
    let load: Load
    beforeAll(async () => {
      composed = await startCompose({ registry: 2, catalog: 2, sync: 2, tasks: 2, auth: 2 })
    }, patienceMs)
    afterAll(async () => {
      await load?.stop()
      await composed?.stop()
    }, 120_000)

    test.each([
      '/metrics',
      '//metrics',
      '/v2/../metrics',
      '/v2/%2e%2e/metrics',
      '/internal/list-events',
      '/v2x',
      '/api/v1/nothing',
    ])('the one port answers nothing under %s', async (target) => {
      // As it is: fetch would tidy it.
      const [answer] = await once(get({ port: composed.stack.port, path: target }), 'response')
      answer.resume()
      expect(answer.statusCode).toBe(404)
    })

    test('each replica of sync is reached by the others under the name that it gives itself', async () => {
      const [one = '', other = ''] = await composed.containers('sync')
      const named = await composed.docker([
        'exec',
        other,
        'sh',
        '-c',
        'tr "\\0" "\\n" < /proc/$(cat /proc/1/task/1/children | cut -d" " -f1)/environ',
      ])
      const url = /^BERTH_INTERNAL_URL=(.+)$/m.exec(named)?.[1] ?? ''
      expect(new URL(url).port).toBe('9103')
      // Whoever asks without the key of a service is refused: it is there.
      const asked = composed.docker(['exec', one, 'wget', '-q', '-T', '5', '-O', '-', `${url}/`])
      await expect(asked).rejects.toThrow(/HTTP\/1\.1 4/)
    })

    test.each(restarted)(
      'a rolling restart of %s fails no request that a client tries again, and loses no push',
      async (service) => {
        load = startLoad(composed.stack, { pushers: 2, pullers: 2 })
        await load.settle(4)
        for (const container of await composed.containers(service)) {
          await composed.docker(['restart', '--time=90', container])
          await composed.healthy(container)
          await load.settle(4)
        }
        await load.stop()
        expect(load.failed).toEqual([])
        await expectServed(composed.stack, load.acknowledged)
      },
      patienceMs,
    )

    test.each(servers)(
      'a restart of %s fails no request that a client tries again, and loses no push',
      async (server) => {
        load = startLoad(composed.stack, { pushers: 2, pullers: 2 })
        await load.settle(4)
        const [container = ''] = await composed.containers(server)
        await composed.docker(['restart', '--time=60', container])
        await composed.healthy(container)
        await load.settle(4)
        await load.stop()
        expect(load.failed).toEqual([])
        await expectServed(composed.stack, load.acknowledged)
      },
      patienceMs,
    )

    test.each(['registry', 'catalog'] as const)(
      'a replica of %s that is killed fails no request that a client tries again, and loses no push',
      async (service) => {
        load = startLoad(composed.stack, { pushers: 2, pullers: 2 })
        await load.settle(4)
        const [container = ''] = await composed.containers(service)
        await composed.docker(['kill', container])
        await load.settle(10)
        await composed.docker(['start', container])
        await composed.healthy(container)
        await load.stop()
        expect(load.failed).toEqual([])
        await expectServed(composed.stack, load.acknowledged)
      },
      patienceMs,
    )

    test(
      'what was pushed and whom Berth knows is there after down and up, and no key was made again',
      async () => {
        const { stack, compose } = composed
        await make(stack, '/repositories', { name: 'kept/app' })
        load = startLoad(stack, { pushers: 1, pullers: 0 })
        await load.settle(3)
        await load.stop()
        await compose(['down', '--timeout', '90'])
        await compose(['up', '-d'])
        await until(
          'it is ready',
          async () => (await fetch(`${stack.url}/readyz`).catch(() => undefined))?.status === 200,
          120_000,
        )
        expect((await stack.api('GET', '/repositories/kept%2Fapp')).status).toBe(200)
        await expectServed(stack, load.acknowledged)
        expect(await compose(['logs', '--no-color', 'secrets'])).toContain('all is there in /secrets')
      },
      patienceMs,
    )
  },
)
