import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { localRemote, make, startSync } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

// An upstream that never answers: what is asked of it runs until it is cancelled.
const silent = createServer(() => {})
const stack = withBerth()

beforeAll(async () => {
  await new Promise<void>((resolve) => void silent.listen(0, '127.0.0.1', resolve))
}, 60_000)
afterAll(async () => {
  silent.closeAllConnections()
  silent.close()
}, 30_000)

test('a sync that is cancelled while it waits is shown as cancelled', async () => {
  const { port } = silent.address() as AddressInfo
  await make(stack, '/repositories', { name: 'silent/app' })
  await make(stack, '/remotes', localRemote('silent', `http://127.0.0.1:${port}`, 'library/app'))
  await startSync(stack, 'silent/app', 'silent')
  const waiting = await startSync(stack, 'silent/app', 'silent')
  const answer = await stack.api('POST', `/tasks/${waiting.id}/cancel`)
  expect(answer.body.state).toBe('cancelled')
  const run = await until('the run is cancelled too', async () => {
    const { body } = await stack.api('GET', '/syncs')
    return body.items.find((one: { task: string; state: string }) => one.task === waiting.id && one.state !== 'waiting')
  })
  expect(run).toMatchObject({ state: 'cancelled', error: { code: 'cancelled' } })
}, 60_000)
