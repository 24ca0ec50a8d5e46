import { setTimeout as pause } from 'node:timers/promises'
import { imageOf, type MisbehavingUpstream } from '@berth/registry-client/misbehaving-upstream'
import type { NemesisClient } from './client.ts'
import { type Expected, type History, mayBe, newExpected } from './history.ts'
import { makeImage, pull, push, unknown } from './images.ts'

export type Actor = {
  client: NemesisClient
  history: History
  random: () => number
  signal: AbortSignal
}
/** What each tag that an actor owns may stand for, by `repository:tag`. */
export type Tags = Map<string, Expected>

export const pushedRepositories = ['nemesis/a', 'nemesis/b', 'nemesis/c']
export const rolledBackRepository = 'nemesis/rolled-back'
export const syncedRepository = 'nemesis/synced'
const tagsPerPusher = 4
const breathMs = 30
// A collection whose worker is killed again and again gets further each time, and needs some ten attempts.
const taskPatienceMs = 300_000

const breathe = (signal: AbortSignal) => pause(breathMs, undefined, { signal }).catch(() => 'over')

/** Pushes to tags of its own, over and over, and reads back what was acknowledged. */
export async function pushAndPull(actor: Actor, name: string, tags: Tags): Promise<void> {
  const { client, history, random, signal } = actor
  for (let number = 0; !signal.aborted; number++) {
    const repository = pushedRepositories[Math.floor(random() * pushedRepositories.length)] as string
    const tag = `${name}-${Math.floor(random() * tagsPerPusher)}`
    const key = `${repository}:${tag}`
    const expected = tags.get(key) ?? newExpected()
    tags.set(key, expected)
    const image = makeImage(`${name} ${number}`, random)
    const isAcknowledged = await push(
      client,
      { repository, tag, image, random },
      () => void expected.possible.add(image.digest),
    )
    if (isAcknowledged) {
      expected.acknowledged = image.digest
      expected.possible.clear()
      history.count('pushes')
    }
    await check(actor, repository, tag, expected)
    await breathe(signal)
  }
}

/** Pulls a tag, which must be what it may be. */
export async function check(
  { client, history }: Pick<Actor, 'client' | 'history'>,
  repository: string,
  tag: string,
  expected: Expected,
): Promise<boolean> {
  const found = await pull(client, repository, tag, (what) => history.violate(what))
  if (found === unknown) return false
  history.count('pulls')
  if (!mayBe(expected, found))
    history.violate(
      `${repository}:${tag} is ${String(found)}, and may be ${[expected.acknowledged, ...expected.possible].join()}`,
    )
  // What a client has seen may not go away again, whether or not its push was answered.
  else expected.acknowledged = found
  return true
}

/** Pushes two images to one tag and goes back to the first. */
export async function pushAndRollBack(actor: Actor, expected: Expected): Promise<void> {
  const { client, history, random, signal } = actor
  const path = `/repositories/${encodeURIComponent(rolledBackRepository)}`
  const repository = rolledBackRepository
  const tag = 'latest'
  for (let number = 0; !signal.aborted; number++) {
    const images = [makeImage(`rolled back ${number}`, random), makeImage(`gone ${number}`, random)]
    const versions: (number | undefined)[] = []
    for (const image of images) {
      const begun = () => void expected.possible.add(image.digest)
      if (!(await push(client, { repository, tag, image, random }, begun))) break
      expected.acknowledged = image.digest
      expected.possible.clear()
      versions.push((await client.api('GET', path))?.body?.latestVersion)
    }
    const [first] = versions
    if (versions.length === 2 && first !== undefined) {
      expected.possible.add((images[0] as { digest: string }).digest)
      const rolled = await client.api('POST', `${path}/rollback`, { version: first })
      if (rolled && rolled.status < 300) {
        expected.acknowledged = images[0]?.digest
        expected.possible.clear()
        history.count('rollbacks')
      }
    }
    await check(actor, repository, tag, expected)
    await breathe(signal)
  }
}

/** Moves tags upstream and syncs them, each time to the end. */
export async function syncAgain(
  actor: Actor,
  upstream: MisbehavingUpstream,
  tags: Tags,
  tasks: string[],
): Promise<void> {
  const { client, history, signal } = actor
  for (let number = 0; !signal.aborted; number++) {
    const image = imageOf(`upstream ${number}`, 5_000, 3_000 + number)
    const tag = `up-${number % 6}`
    upstream.add('far/app', tag, image)
    const expected = tags.get(`${syncedRepository}:${tag}`) ?? newExpected()
    tags.set(`${syncedRepository}:${tag}`, expected)
    expected.possible.add(image.manifest.digest)
    const asked = await client.api('POST', '/syncs', { repository: syncedRepository, remote: 'nemesis' })
    const id = asked?.status === 202 ? (asked.body.id as string) : undefined
    if (id) tasks.push(id)
    if (id && (await endOf(actor, id)) === 'completed') {
      expected.acknowledged = image.manifest.digest
      expected.possible.clear()
      history.count('syncs')
    }
    await check(actor, syncedRepository, tag, expected)
    await breathe(signal)
  }
}

/** The state in which a task ended, or `undefined` when it did not within the wait. */
export async function endOf(
  { client, history }: Pick<Actor, 'client' | 'history'>,
  id: string,
): Promise<string | undefined> {
  let last: unknown
  for (const deadline = Date.now() + taskPatienceMs; Date.now() < deadline; await pause(100)) {
    const reply = await client.api('GET', `/tasks/${id}`)
    if (reply?.status === 200) last = reply.body
    if (reply?.status === 404) history.violate(`task ${id} was accepted and is not known`)
    if (reply?.status === 404) return undefined
    if (reply && ['completed', 'failed', 'cancelled'].includes(reply.body?.state)) return reply.body.state
  }
  history.violate(`task ${id} has not ended within ${taskPatienceMs / 1_000} s: ${JSON.stringify(last)}`)
  return undefined
}

/** Collects what nothing needs, without any grace, again and again. */
export async function collect(actor: Actor, tasks: string[]): Promise<void> {
  const { client, history, signal } = actor
  while (!signal.aborted) {
    const reply = await client.api('POST', '/store/gc', { graceSeconds: 0 })
    if (reply?.status === 202) {
      tasks.push(reply.body.id)
      if ((await endOf(actor, reply.body.id)) === 'completed') history.count('collections')
    }
    await pause(500, undefined, { signal }).catch(() => 'over')
  }
}
