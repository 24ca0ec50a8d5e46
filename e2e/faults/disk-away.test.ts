import { renameSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, expect, test } from '@jest/globals'
import { pushRandomImage, send, startUpload, type Target } from '../berth/push.ts'
import { basic, localRemote, make } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const stack = withBerth({ own: true })
let berth: Target

beforeAll(async () => {
  berth = { url: stack.url, authorization: basic(stack) }
  await make(stack, '/remotes', localRemote('itself', stack.url, 'disk/app'))
  await make(stack, '/repositories', { name: 'disk/mirror' })
}, 60_000)

test('while the folder of the blobs is away writes are 503, the rest of the metrics is there, and all goes on afterwards', async () => {
  const folder = path.join(stack.home, 'blobs')
  const away = `${folder}-away`
  const readiness = async () => (await (await fetch(`${stack.url}/readyz`)).json()) as Record<string, unknown>
  await pushRandomImage(berth, 'disk/app', 'before')
  renameSync(folder, away)
  try {
    // A session is a row of the database; its bytes are what need the disk, but for a small chunk, which is kept in memory.
    const upload = await startUpload(berth, 'disk/app')
    await send(berth, 'PATCH', upload, 503, { body: new Uint8Array(200_000) })
    await send(berth, 'PUT', '/v2/disk/app/manifests/other', 503, {
      body: JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.index.v1+json',
        manifests: [],
      }),
      headers: { 'content-type': 'application/vnd.oci.image.index.v1+json' },
    })
    const sync = { repository: 'disk/mirror', remote: 'itself' }
    expect(await stack.api('POST', '/syncs', sync)).toMatchObject({
      status: 503,
      body: { code: expect.stringMatching(/^store_/) },
    })
    const metrics = await fetch(`${stack.url}/metrics`)
    expect(metrics.status).toBe(200)
    const text = await metrics.text()
    expect(text).toContain('berth_build_info')
    expect(text).not.toContain('berth_disk_free_bytes{')
    expect(await readiness()).toMatchObject({ writes: 'disk does not answer' })
  } finally {
    renameSync(away, folder)
  }
  expect(await readiness()).not.toHaveProperty('writes')
  await pushRandomImage(berth, 'disk/app', 'after')
}, 60_000)
