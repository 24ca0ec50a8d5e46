import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { getManifest, localRemote, make, startSync, versionNumbers } from './requests.ts'
import {
  type BrokenUpstream,
  digestsIn,
  type Fault,
  faults,
  repositoryWith,
  startBrokenUpstream,
} from './servers/broken-upstream.ts'
import { startTestStack, type TestStack } from './stack.ts'

const codes: Record<Fault, string> = {
  'wrong bytes': 'bad_digest',
  'short body': 'short_body',
  '401': 'unauthorized',
  '404': 'not_found',
  '429': 'rate_limited',
  '500': 'unavailable',
  cut: 'unavailable',
  hang: 'timeout',
  'other manifest': 'bad_digest',
}

describe('an upstream that goes wrong', () => {
  let stack: TestStack
  let upstream: BrokenUpstream
  const tasks = new Map<string, string>()

  const begin = async (name: string, retries: number) => {
    await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries }))
    await make(stack, '/repositories', { name })
    await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
    tasks.set(name, (await startSync(stack, name, name)).id)
  }

  beforeAll(async () => {
    upstream = await startBrokenUpstream()
    stack = await startTestStack()
    // All at once: the one that hangs takes its time.
    for (const fault of faults) await begin(repositoryWith(fault), 0)
    await begin('once-500', 3)
    await begin('once-cut', 3)
    await begin('once-short-body', 3)
  }, 60_000)
  afterAll(async () => {
    await stack?.stop()
    await upstream?.stop()
  }, 60_000)

  test.each(['once-500', 'once-cut', 'once-short-body'])(
    '%s: tried again, and the sync completes',
    async (name) => {
      expect(await stack.waitForTask(tasks.get(name) as string)).toMatchObject({ state: 'completed', error: null })
      expect((await getManifest(`${stack.url}/v2/${name}/manifests/one`)).digest).toBe(digestsIn(name).manifest)
    },
    60_000,
  )

  test.each(faults.map((fault) => [fault]))(
    '%s: the task fails with what happened and where, and nothing of it is visible',
    async (fault) => {
      const name = repositoryWith(fault)
      const task = await stack.waitForTask(tasks.get(name) as string, 90_000)
      expect(task).toMatchObject({ state: 'failed', error: { code: `upstream_${codes[fault]}` } })
      expect(task.error?.message).toContain(upstream.host)
      expect(await versionNumbers(stack, name)).toEqual([0])
      expect((await getManifest(`${stack.url}/v2/${name}/manifests/one`)).status).toBe(404)
      const { config, layer } = digestsIn(name)
      for (const digest of [config, layer])
        expect((await fetch(`${stack.url}/v2/${name}/blobs/${digest}`)).status).toBe(404)
    },
    100_000,
  )
})
