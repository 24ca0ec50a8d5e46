import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { pushRandomImage, send, startUpload, type Target } from '../berth/push.ts'
import { basic, getManifest, localRemote, make } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const execute = promisify(execFile)
const mebibyte = 1 << 20
const missing = missingPrograms('mount', 'umount')
const why =
  process.geteuid?.() === 0 ? missing.map((name) => `${name} not installed`).join(', ') : 'mounting needs root'
const group = why ? describe.skip : describe

group(`a disk below its reserve${why ? ` (${why})` : ''}`, () => {
  let folder: string
  let mounted = ''
  const stack = withBerth(async () => {
    folder = makeTemporaryFolder('disk-reserve')
    const place = path.join(folder, 'blobs')
    mkdirSync(place)
    await execute('mount', ['-t', 'tmpfs', '-o', 'size=96m', 'tmpfs', place])
    mounted = place
    const env = {
      BERTH_BLOBS_DIR: mounted,
      BERTH_DISK_RESERVE_BYTES: String(32 * mebibyte),
      BERTH_PUSH_LEASE_SECONDS: '1',
    }
    return { own: true, env }
  })
  let berth: Target
  let digest: string

  beforeAll(async () => {
    berth = { url: stack.url, authorization: basic(stack) }
    await make(stack, '/repositories', { name: 'disk/app', retainVersions: 1 })
    await make(stack, '/distributions', { name: 'disk/app', basePath: 'disk/app', repository: 'disk/app' })
    digest = (await pushRandomImage(berth, 'disk/app', 'v1', [8 * mebibyte])).digest
    const upstream = { username: 'admin', password: stack.password }
    await make(stack, '/remotes', localRemote('itself', stack.url, 'disk/app', upstream))
    await make(stack, '/repositories', { name: 'disk/mirror' })
  }, 90_000)
  afterAll(async () => {
    if (mounted) await execute('umount', [mounted])
    if (folder) removeFolder(folder)
  }, 60_000)

  const readiness = async () => (await (await fetch(`${stack.url}/readyz`)).json()) as Record<string, unknown>
  const free = async () =>
    Number(
      /^berth_disk_free_bytes\{disk="blobs"\} (\d+)$/m.exec(await (await fetch(`${stack.url}/metrics`)).text())?.[1],
    )

  test('an upload of unknown length stops at the reserve, and what had come of it is kept', async () => {
    const place = await startUpload(berth, 'disk/app')
    const endless = async function* () {
      for (let sent = 0; sent < 90; sent++) yield randomBytes(mebibyte)
    }
    const answer = await fetch(place, {
      method: 'PATCH',
      headers: { authorization: basic(stack), 'content-type': 'application/octet-stream' },
      body: endless() as never,
      duplex: 'half',
    } as RequestInit)
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(await answer.text()).toMatch(/the disk of the blob store has \d+ MB left, and 33 MB are kept free/)
    expect(await free()).toBeGreaterThan(28 * mebibyte)
    await send(berth, 'DELETE', place, 204)
  }, 30_000)

  test('pushes and syncs are 503 and say which disk; pulls go on, and it is told beforehand', async () => {
    expect((await readiness()).writes).toBeUndefined()
    writeFileSync(path.join(mounted, 'filler'), randomBytes(64 * mebibyte))
    await until('it is told', async () => (await readiness()).writes === 'disk below reserve')
    expect((await fetch(`${stack.url}/readyz`)).status).toBe(200)
    expect(await free()).toBeLessThan(32 * mebibyte)
    await expect(pushRandomImage(berth, 'disk/app', 'v2')).rejects.toThrow(/503.*UNAVAILABLE.*disk of the blob store/)
    const refused = await stack.api('POST', '/syncs', { repository: 'disk/mirror', remote: 'itself' })
    expect(refused).toMatchObject({ status: 503, body: { code: 'disk_below_reserve' } })
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/)
    expect((await getManifest(`${stack.url}/v2/disk/app/manifests/v1`, stack)).digest).toBe(digest)
  }, 30_000)

  test('deletes and collections work, and make room again', async () => {
    await send(berth, 'DELETE', `/v2/disk/app/manifests/${digest}`, 202)
    const before = await free()
    await until('what was deleted is collected', async () => {
      const { body } = await stack.api('POST', '/store/gc', { graceSeconds: 0 })
      const task = await stack.waitForTask(body.id)
      expect(task).toMatchObject({ state: 'completed', result: { leased: { objects: expect.any(Number) } } })
      return (await free()) >= before + 8 * mebibyte
    })
    rmSync(path.join(mounted, 'filler'))
    await pushRandomImage(berth, 'disk/app', 'v3')
    expect((await readiness()).writes).toBeUndefined()
  }, 60_000)
})
