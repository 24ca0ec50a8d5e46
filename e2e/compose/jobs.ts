import { setTimeout as pause } from 'node:timers/promises'
import type { Answer, Berth, TaskView } from '../berth/berth.ts'
import { pushManifest, pushRandomImage } from '../berth/push.ts'
import { basic, getManifest, repositoryPath } from '../berth/requests.ts'
import { createPatience, type Patience } from './patience.ts'

/** A sync that has ended, however it did. */
type Mirrored = { repository: string; task: TaskView; tookMs: number }

/** Mirrors that are made and tags that are moved and rolled back all the time, by clients that try again. */
export type Jobs = Pick<Patience, 'retried' | 'failed'> & {
  readonly mirrored: readonly Mirrored[]
  /** How often a tag was moved or rolled back, and was seen to be. */
  readonly moves: number
  stop(): Promise<void>
}

const pollMs = 500
const endsWithinMs = 150_000
const ociManifest = 'application/vnd.oci.image.manifest.v1+json'

/** Starts so many movers of tags, and mirrors of a remote, each mirror a repository of its own. */
export function startJobs(stack: Berth, work: { movers: number; mirrors: number; remote: string; name: string }): Jobs {
  const patience = createPatience()
  const stopping = new AbortController()
  const mirrored: Mirrored[] = []
  const count = { moves: 0 }
  const mirroring = async (name: string) => {
    for (let i = 0; !stopping.signal.aborted; i++) {
      const done = await mirror(stack, `${name}-${i}`, work.remote, patience)
      if (done) mirrored.push(done)
    }
  }
  const moving = async (repository: string) => {
    const images = [await pushed(stack, repository, 'a', patience), await pushed(stack, repository, 'b', patience)]
    const [first, second] = images
    if (!first || !second) return
    while (!stopping.signal.aborted) await moveAndRollBack(repository, first, second)
  }
  const moveAndRollBack = async (repository: string, first: Image, second: Image) => {
    const version = await move(stack, repository, first, patience)
    await move(stack, repository, second, patience)
    await patience.persist(`roll back ${repository}`, () =>
      answered(stack.api('POST', `${repositoryPath(repository)}/rollback`, { version })),
    )
    await see(stack, repository, first.digest, patience)
    count.moves += 3
  }
  const all = Promise.all([
    ...Array.from({ length: work.mirrors }, (_, i) => mirroring(`mirrored/${work.name}-${i}`)),
    ...Array.from({ length: work.movers }, (_, i) => moving(`moved/${work.name}-${i}`)),
  ])
  all.catch(() => 'told by stop')
  return {
    ...patience,
    mirrored,
    get moves() {
      return count.moves
    },
    stop: async () => {
      stopping.abort()
      await all
    },
  }
}

/** Makes a repository and syncs it to the end. */
async function mirror(
  stack: Berth,
  repository: string,
  remote: string,
  { persist, fail }: Patience,
): Promise<Mirrored | undefined> {
  // 409: it was made, and the answer was lost.
  await persist(`make ${repository}`, () => answered(stack.api('POST', '/repositories', { name: repository }), 409))
  const startedAt = Date.now()
  const started = await persist(`sync ${repository}`, () =>
    answered(stack.api('POST', '/syncs', { repository, remote, mode: 'additive' })),
  )
  if (!started) return undefined
  while (Date.now() < startedAt + endsWithinMs) {
    const task: TaskView | undefined = await persist(`task of ${repository}`, () =>
      answered(stack.api('GET', `/tasks/${started.id}`)),
    )
    if (!task) return undefined
    if (['completed', 'failed', 'cancelled'].includes(task.state))
      return { repository, task, tookMs: Date.now() - startedAt }
    await pause(pollMs)
  }
  fail(`the sync of ${repository} does not end`)
  return undefined
}

type Image = { digest: string; text: string }

const targetOf = (stack: Berth) => ({ url: stack.url, authorization: basic(stack) })

function pushed(stack: Berth, repository: string, tag: string, { persist }: Patience): Promise<Image | undefined> {
  return persist(`push ${repository}:${tag}`, () => pushRandomImage(targetOf(stack), repository, tag))
}

/** Moves the tag `current` to an image, and answers the version that has it. */
async function move(stack: Berth, repository: string, { text, digest }: Image, patience: Patience): Promise<number> {
  await patience.persist(`move ${repository}`, () =>
    pushManifest(targetOf(stack), repository, 'current', text, ociManifest),
  )
  await see(stack, repository, digest, patience)
  const shown = await patience.persist(`versions of ${repository}`, () =>
    answered(stack.api('GET', `${repositoryPath(repository)}/versions?limit=1`)),
  )
  return shown?.items[0].number
}

/** What was acknowledged is served at once, by whichever replica: another answer than that is not tried again. */
async function see(stack: Berth, repository: string, digest: string, { persist, fail }: Patience): Promise<void> {
  const served = await persist(`see ${repository}`, async () => {
    const answer = await getManifest(`${stack.url}/v2/${repository}/manifests/current`, stack)
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`)
    return answer
  })
  if (served && served.digest !== digest) fail(`${repository}: ${served.digest} is served instead of ${digest}`)
}

/** The body of an answer; throws when it is an error other than the one that is good too. */
async function answered(asked: Promise<Answer>, good?: number): Promise<Answer['body']> {
  const { status, body } = await asked
  if (status < 400 || status === good) return body
  throw new Error(`${status} ${JSON.stringify(body)}`)
}
