import { expect, test } from '@jest/globals'
import { pushRandomImage } from '../berth/push.ts'
import { basic, repositoryPath } from '../berth/requests.ts'
import { startTestStack } from '../berth/stack.ts'

test('what was pulled last is listed with its time, over restarts; a HEAD is no pull', async () => {
  const stack = await startTestStack()
  try {
    const target = { url: stack.url, authorization: basic(stack) }
    const pulled = await pushRandomImage(target, 'team/app', 'pulled')
    const byDigest = await pushRandomImage(target, 'team/app', 'by-digest')
    const watched = await pushRandomImage(target, 'team/app', 'watched')
    const ask = async (method: string, reference: string) => {
      const headers = { authorization: basic(stack) }
      const answer = await fetch(`${stack.url}/v2/team/app/manifests/${reference}`, { method, headers })
      await answer.arrayBuffer()
      expect(answer.status).toBe(200)
    }
    const list = async (type: string) => {
      const { body } = await stack.api('GET', `${repositoryPath('team/app')}/versions/3/content?type=${type}`)
      const items = body.items as { name?: string; digest: string; lastPulledAt: string | null }[]
      return Object.fromEntries(items.map(({ name, digest, lastPulledAt }) => [name ?? digest, lastPulledAt]))
    }
    const from = Date.now()
    await ask('GET', 'pulled')
    await ask('GET', byDigest.digest)
    await ask('HEAD', 'watched')
    const until = Date.now()
    // A stop sends what is gathered.
    await stack.restart()
    const tags = await list('tag')
    const manifests = await list('manifest')
    expect(tags).toEqual({ pulled: expect.any(String), 'by-digest': null, watched: null })
    expect(manifests).toEqual({
      [pulled.digest]: tags.pulled,
      [byDigest.digest]: expect.any(String),
      [watched.digest]: null,
    })
    for (const time of [tags.pulled, manifests[byDigest.digest]]) {
      expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      expect(Date.parse(time ?? '')).toBeGreaterThanOrEqual(from)
      expect(Date.parse(time ?? '')).toBeLessThanOrEqual(until)
    }
  } finally {
    await stack.stop()
  }
}, 90_000)
