import { setTimeout as pause } from 'node:timers/promises'
import { expect } from '@jest/globals'
import type { Berth } from './berth.ts'
import { pushRandomImage, type Target } from './push.ts'
import { basic, repositoryPath, sha256 } from './requests.ts'

export type Acknowledged = { repository: string; tag: string; digest: string }

/** Clients that push images all the time, also while Berth is away, and what Berth has acknowledged to them. */
export type Traffic = {
  readonly acknowledged: readonly Acknowledged[]
  readonly repositories: readonly string[]
  stop(): Promise<void>
}

const retryMs = 20

/** Starts to push to so many repositories at once. */
export function startTraffic(stack: Berth, width: number): Traffic {
  const acknowledged: Acknowledged[] = []
  const stopping = new AbortController()
  const repositories = Array.from({ length: width }, (_, i) => `team/app-${i}`)
  const push = async (repository: string) => {
    for (let i = 0; !stopping.signal.aborted; i++) {
      const tag = `t${i}`
      try {
        const { digest } = await pushRandomImage(targetOf(stack), repository, tag)
        acknowledged.push({ repository, tag, digest })
      } catch {
        // Berth is being stopped or started: not acknowledged, so nothing is promised.
        await pause(retryMs)
      }
    }
  }
  const pushing = Promise.all(repositories.map(push))
  pushing.catch(() => 'told by stop')
  return {
    acknowledged,
    repositories,
    stop: async () => {
      stopping.abort()
      await pushing
    },
  }
}

const targetOf = (stack: Berth): Target => ({ url: stack.url, authorization: basic(stack) })

/** Pulls as a client does. Answers the digest of what a tag stands for; throws when any byte of it is missing or wrong. */
async function pull(stack: Berth, repository: string, tag: string): Promise<string> {
  const manifest = await get(stack, `/v2/${repository}/manifests/${tag}`)
  const { config, layers } = JSON.parse(manifest.toString()) as {
    config: { digest: string }
    layers: { digest: string }[]
  }
  for (const { digest } of [config, ...layers])
    expect(sha256(await get(stack, `/v2/${repository}/blobs/${digest}`))).toBe(digest)
  return sha256(manifest)
}

async function get(stack: Berth, path: string): Promise<Buffer> {
  const accept = 'application/vnd.oci.image.manifest.v1+json'
  const response = await fetch(`${stack.url}${path}`, { headers: { authorization: basic(stack), accept } })
  if (response.status !== 200) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`)
  return Buffer.from(await response.arrayBuffer())
}

/** As many as one page has at most. */
const tagsAtOnce = 1_000

/** All tags of a repository, as the registry serves them and as catalog knows them; both have to be the same. */
async function tagsOf(stack: Berth, repository: string): Promise<string[]> {
  const served: string[] = []
  for (let last = '', more = true; more; last = served.at(-1) ?? '') {
    const from = last === '' ? '' : `&last=${encodeURIComponent(last)}`
    const page = await get(stack, `/v2/${repository}/tags/list?n=${tagsAtOnce}${from}`)
    const { tags } = JSON.parse(page.toString()) as { tags: string[] }
    served.push(...tags)
    more = tags.length === tagsAtOnce
  }
  const known: string[] = []
  for (let cursor: string | undefined = ''; cursor !== undefined; ) {
    const query = cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''
    const { status, body } = await stack.api('GET', `${repositoryPath(repository)}/tags?limit=100${query}`)
    expect(status).toBe(200)
    known.push(...body.items.map(({ name }: { name: string }) => name))
    cursor = body.next ?? undefined
  }
  expect(served.toSorted()).toEqual(known.toSorted())
  return served
}

/** Everything that was acknowledged is served right, and whatever else is served is whole. */
export async function expectServed(stack: Berth, acknowledged: readonly Acknowledged[]): Promise<void> {
  const digests = new Map(acknowledged.map(({ repository, tag, digest }) => [`${repository}:${tag}`, digest]))
  for (const repository of new Set(acknowledged.map((one) => one.repository)))
    for (const tag of await tagsOf(stack, repository)) {
      const digest = await pull(stack, repository, tag)
      expect(digest).toBe(digests.get(`${repository}:${tag}`) ?? digest)
      digests.delete(`${repository}:${tag}`)
    }
  expect([...digests.keys()]).toEqual([])
}
