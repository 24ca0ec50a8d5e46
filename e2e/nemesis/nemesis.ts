import { setTimeout as pause } from 'node:timers/promises'
import { type MisbehavingUpstream, startMisbehavingUpstream } from '@berth/registry-client/misbehaving-upstream'
import { until } from '../berth/processes.ts'
import { startTestStack, type TestStack } from '../berth/stack.ts'
import { randomOf } from '../soak/pushers.ts'
import {
  type Actor,
  check,
  collect,
  endOf,
  pushAndPull,
  pushAndRollBack,
  pushedRepositories,
  rolledBackRepository,
  syncAgain,
  syncedRepository,
  type Tags,
} from './actors.ts'
import { createNemesisClient } from './client.ts'
import { createHistory, newExpected } from './history.ts'
import { killAtRandom } from './kills.ts'

export type NemesisReport = {
  seed: number
  seconds: number
  counts: Record<string, number>
  /** What was seen from outside that must never be. */
  violations: string[]
}

const pushers = 3
const settledWithinMs = 120_000

/**
 * Pushes, syncs, rolls back, collects and pulls while Berth, PostgreSQL and NATS are killed at random, and looks from outside
 * whether all that was acknowledged is served right: during that time, and once more when all is back.
 */
export async function nemesis({ seed, seconds }: { seed: number; seconds: number }): Promise<NemesisReport> {
  const upstream = await startMisbehavingUpstream()
  const env = { BERTH_PUSH_LEASE_SECONDS: '30', BERTH_TASK_LEASE_SECONDS: '4' }
  const stack = await startTestStack({ embeddedDatabase: true, ownGroup: true, env })
  try {
    return await onStack(stack, upstream, { seed, seconds })
  } finally {
    await stack.stop()
    await upstream.close()
  }
}

async function onStack(
  stack: TestStack,
  upstream: MisbehavingUpstream,
  { seed, seconds }: { seed: number; seconds: number },
): Promise<NemesisReport> {
  const history = createHistory()
  const authorization = `Basic ${btoa(`${stack.user}:${stack.password}`)}`
  const client = createNemesisClient(history, () => ({ url: stack.url, authorization }))
  await prepare(stack, upstream)
  const over = new AbortController()
  const actorOf = (place: number): Actor => ({
    client,
    history,
    random: randomOf(seed * 100 + place),
    signal: over.signal,
  })
  const tags: Tags = new Map()
  const rolledBack = newExpected()
  tags.set(`${rolledBackRepository}:latest`, rolledBack)
  const tasks: string[] = []
  const acting = Promise.all([
    ...Array.from({ length: pushers }, (_, place) => pushAndPull(actorOf(place), `p${place}`, tags)),
    pushAndRollBack(actorOf(10), rolledBack),
    syncAgain(actorOf(11), upstream, tags, tasks),
    collect(actorOf(12), tasks),
  ])
  acting.catch(() => over.abort())
  const killing = killAtRandom(stack, { history, random: randomOf(seed), signal: over.signal })
  killing.catch(() => over.abort())
  await pause(seconds * 1_000, undefined, { signal: over.signal }).catch(() => 'over')
  over.abort()
  await killing
  await acting
  await checkAll({ client, history }, stack, tags, tasks)
  return { seed, seconds, counts: history.counts, violations: history.violations }
}

async function prepare(stack: TestStack, upstream: MisbehavingUpstream): Promise<void> {
  const make = async (path: string, body: unknown) => {
    const answer = await stack.api('POST', path, body)
    if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
  }
  for (const name of [...pushedRepositories, rolledBackRepository, syncedRepository]) {
    const settings = pushedRepositories.includes(name) ? { retainVersions: 2 } : {}
    await make('/repositories', { name, ...settings })
    await make('/distributions', { name, basePath: name, repository: name })
  }
  await make('/remotes', {
    name: 'nemesis',
    url: upstream.url,
    upstreamName: 'far/app',
    policy: 'immediate',
    allowPrivateAddresses: true,
  })
}

/** When all is back: every task has ended, and every tag is what was acknowledged, with all its bytes. */
async function checkAll(
  actor: Pick<Actor, 'client' | 'history'>,
  stack: TestStack,
  tags: Tags,
  tasks: readonly string[],
): Promise<void> {
  for (const id of tasks) await endOf(actor, id)
  await until('no task waits or runs', async () => (await unended(stack)) === 0, settledWithinMs).catch(
    (error: Error) => actor.history.violate(error.message),
  )
  for (const [key, expected] of tags) {
    const [repository, tag] = key.split(':') as [string, string]
    if (!(await check(actor, repository, tag, expected))) actor.history.violate(`${key} cannot be pulled in the end`)
  }
}

async function unended(stack: TestStack): Promise<number> {
  const pages = await Promise.all(['waiting', 'running'].map((state) => stack.api('GET', `/tasks?state=${state}`)))
  return pages.reduce((sum, { body }) => sum + body.items.length, 0)
}
