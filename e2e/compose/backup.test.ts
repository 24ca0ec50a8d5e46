import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { expectServed } from '../berth/pushed-images.ts'
import { runner } from '../clients/client.ts'
import { readTour } from '../pages/tour.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { type Composed, composeMissing, startCompose } from './compose.ts'
import { type Load, startLoad } from './load.ts'

const missing = composeMissing()
const group = missing ? describe.skip : describe
const page = new URL('../../docs/how-to/compose.md', import.meta.url)

group(`backup and restore of docker compose, as its page says${missing ? ` (${missing})` : ''}`, () => {
  let composed: Composed
  let load: Load | undefined
  let folder: string
  beforeAll(async () => {
    folder = makeTemporaryFolder('compose-backup')
    composed = await startCompose()
  }, 600_000)
  afterAll(async () => {
    await load?.stop()
    await composed?.stop()
    removeFolder(folder)
  }, 120_000)

  const follow = (block: string) => {
    const lines = readTour(page, block).map(({ command }) => command)
    expect(lines.length).toBeGreaterThan(0)
    const script = lines.join('\n').replaceAll('/backup/berth', path.join(folder, 'backup'))
    return runner('bash', ['-euc', `${composed.shell}\n${script}`])([])
  }

  test('what was acknowledged before a backup under load is served after all volumes were removed', async () => {
    const { stack } = composed
    load = startLoad(stack, { pushers: 2, pullers: 1 })
    await load.settle(5)
    const acknowledged = [...load.acknowledged]
    await follow('backup')
    await load.stop()
    expect(load.failed).toEqual([])
    await follow('restore')
    const ready = async () => (await fetch(`${stack.url}/readyz`).catch(() => undefined))?.status === 200
    await until('it is ready', ready, 120_000)
    await expectServed(stack, acknowledged)
    await composed.compose(['down', '--timeout', '60'])
    // What is left is named, and the next start goes on with it.
    for (const name of (await composed.docker(['volume', 'ls', '-q'])).split('\n').filter(Boolean))
      expect(name).not.toMatch(/^[0-9a-f]{64}$/)
  }, 600_000)
})
