import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { embeddedNats, readEvents } from '../berth/events.ts'
import { until } from '../berth/processes.ts'
import { pushRandomImage } from '../berth/push.ts'
import { expectServed, startTraffic } from '../berth/pushed-images.ts'
import { basic } from '../berth/requests.ts'
import { startTestStack, type TestStack } from '../berth/stack.ts'
import { findSystemPostgres, startSystemPostgres } from '../servers/system-postgres.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { readTour, screenOf, typeAll } from './tour.ts'

const page = new URL('../../docs/how-to/backup.md', import.meta.url)
const system = findSystemPostgres()
let folder: string
beforeEach(() => {
  folder = makeTemporaryFolder('backup')
})
afterEach(() => removeFolder(folder))

type Environment = Record<string, string>

/** Types a block of the page as it is written. systemd is not here: what it is asked for is done to the stack. */
async function follow(stack: TestStack, block: string, environment: Environment = {}, isTold = true): Promise<void> {
  const steps = readTour(page, block)
  expect(steps.length).toBeGreaterThan(0)
  const here = (text: string) =>
    text.replaceAll('/var/lib/berth', stack.home).replaceAll('/backup/berth', path.join(folder, 'backup'))
  const variables = { BERTH: stack.url, LOGIN: `${stack.user}:${stack.password}`, ...environment }
  const setUp = Object.entries(variables)
    .map(([name, value]) => `export ${name}='${value}'`)
    .join('\n')
  let typed: typeof steps = []
  const type = async () => {
    const commands = typed.map(({ command }) => here(command))
    const outputs = await typeAll(commands, { cwd: folder, setUp })
    for (const [i, step] of typed.entries()) expect(outputs[i]).toMatch(screenOf(step))
    typed = []
  }
  let set: Environment = {}
  for (const step of steps) {
    const [, verb, value = ''] = /^systemctl (\S+) (\S+)$/.exec(step.command) ?? []
    if (verb === undefined) {
      typed.push(step)
      continue
    }
    await type()
    if (verb === 'stop') await stack.kill('SIGTERM')
    else if (verb === 'start') await stack.restart(isTold ? set : {})
    else if (verb === 'set-environment') set = Object.fromEntries([value.split('=') as [string, string]])
    else expect(verb).toBe('unset-environment')
  }
  await type()
}

/** The highest sequence that subscribers have seen of catalog's events. */
async function highest(stack: TestStack): Promise<number> {
  const events = await readEvents(embeddedNats(stack.home), 'CATALOG', 'berth.v1.catalog.')
  return Math.max(0, ...events.map(({ sequence }) => Number(sequence)))
}

/** The sequence of an event that comes after a restore: the newest of all that the stream has. */
async function sequenceOfNext(stack: TestStack): Promise<number> {
  await pushRandomImage({ url: stack.url, authorization: basic(stack) }, 'team/after', 'restore')
  const next = await until('the event of a push', async () => {
    const events = await readEvents(embeddedNats(stack.home), 'CATALOG', 'berth.v1.catalog.version.created')
    return events.findLast(({ data }) => (data as { name: string }).name === 'team/after')
  })
  return Number(next.sequence)
}

/**
 * Backs up and restores under traffic, as the page says, and answers the sequences seen before and after. With `isTold` the start
 * hears of the restore.
 */
async function roundTrip(
  stack: TestStack,
  kind: 'embedded' | 'external',
  { environment, isTold }: { environment: Environment; isTold: boolean },
): Promise<{ before: number; after: number }> {
  const traffic = startTraffic(stack, 4)
  try {
    await until('some images are pushed', () => traffic.acknowledged.length >= 20)
    const acknowledged = [...traffic.acknowledged]
    await follow(stack, `${kind}-backup`, environment)
    const atEnd = traffic.acknowledged.length
    await until('more images are pushed', () => traffic.acknowledged.length >= atEnd + 10)
    await traffic.stop()
    await follow(stack, 'check')
    const before = await until('the events are told', () => highest(stack))
    await follow(stack, `${kind}-restore`, environment, isTold)
    await expectServed(stack, acknowledged)
    await follow(stack, 'verify')
    return { before, after: await sequenceOfNext(stack) }
  } finally {
    await traffic.stop()
  }
}

test('with the embedded PostgreSQL: what was acknowledged before a backup under traffic is served after the restore, and sequences go on above all', async () => {
  const stack = await startTestStack({ embeddedDatabase: true })
  try {
    const { before, after } = await roundTrip(stack, 'embedded', { environment: {}, isTold: true })
    // The stream was in the folder that is gone.
    expect(after).toBeGreaterThan(before + 2 ** 32)
    const { status, body } = await stack.api('GET', '/store')
    expect({ status, body }).toMatchObject({ status: 200, body: { isShared: false } })
  } finally {
    await stack.stop()
  }
}, 180_000)

const describeExternal = 'why' in system ? describe.skip : describe
describeExternal(`with a PostgreSQL of one's own${'why' in system ? ` (skipped: ${system.why})` : ''}`, () => {
  test('so it is without a stop, and where the stream is still there nobody has to tell the start of the restore', async () => {
    const database = await startSystemPostgres('binFolder' in system ? system.binFolder : '')
    const settings = { BERTH_DATABASE_URL: database.url }
    const stack = await startTestStack({ embeddedDatabase: true, env: settings })
    try {
      const environment = { ...settings, ADMIN_URL: database.adminUrl }
      const { before, after } = await roundTrip(stack, 'external', { environment, isTold: false })
      expect(after).toBeGreaterThan(before)
      expect(after).toBeLessThan(2 ** 32)
    } finally {
      await stack.stop()
      await database.stop()
    }
  }, 180_000)
})
