import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { pushRandomImage } from '../berth/push.ts'
import { type Acknowledged, expectServed } from '../berth/pushed-images.ts'
import { basic } from '../berth/requests.ts'
import { unexplained } from '../kubernetes/error-lines.ts'
import { unpackBefore } from '../servers/release-before.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { type Composed, composeFile, composeMissing, images, startCompose } from './compose.ts'

const missing = composeMissing() ?? process.env.BERTH_TEST_NO_IMAGE_BEFORE
const group = missing ? describe.skip : describe
const patienceMs = 600_000
const before = 'localhost/berth:before'
const services = ['auth', 'build', 'catalog', 'registry', 'sync', 'tasks']

group(`an upgrade by docker compose from the release before, and the way back${missing ? ` (${missing})` : ''}`, () => {
  const pushed: Acknowledged[] = []
  let composed: Composed
  let folder: string
  let fileBefore: string
  beforeAll(async () => {
    folder = makeTemporaryFolder('compose-before')
    unpackBefore(folder, 'deploy/compose')
    fileBefore = path.join(folder, 'deploy/compose/docker-compose.yaml')
    composed = await startCompose(
      {},
      {
        file: fileBefore,
        env: { BERTH_IMAGE: before },
        archives: [process.env.BERTH_TEST_IMAGE_BEFORE_ARCHIVE as string],
      },
    )
  }, patienceMs)
  afterAll(async () => {
    await composed?.stop()
    removeFolder(folder)
  }, 120_000)

  const push = async (tag: string) => {
    const target = { url: composed.stack.url, authorization: basic(composed.stack) }
    const { digest } = await pushRandomImage(target, 'team/app', tag, [200_000])
    pushed.push({ repository: 'team/app', tag, digest })
  }
  const natsStarted = async () => {
    const [nats = ''] = await composed.containers('nats')
    return new Date(await composed.docker(['inspect', '--format', '{{.State.StartedAt}}', nats]))
  }

  test.each([
    ['upgrade', images.berth, () => composeFile],
    ['way back', before, () => fileBefore],
  ] as const)(
    'the %s keeps what was pushed, starts NATS with the users of that release, and logs no error',
    async (name, image, file) => {
      await push(`before the ${name}`.replaceAll(' ', '-'))
      const began = new Date()
      const compose = composed.composeBy(file(), { BERTH_IMAGE: image })
      await compose(['up', '-d'])
      const { url } = composed.stack
      const ready = async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200
      await until('it is ready', ready, 120_000)
      const since = await natsStarted()
      expect(since.getTime()).toBeGreaterThan(began.getTime())
      await push(`after the ${name}`.replaceAll(' ', '-'))
      await expectServed(composed.stack, pushed)
      const logs = await compose(['logs', '--no-color', ...services])
      expect(logs).toContain('"level":"info"')
      expect(unexplained(logs, since)).toEqual([])
    },
    patienceMs,
  )
})
