import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'

let folder: string
let archive: Buffer
let server: http.Server
let asked: string[] = []

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), `berth-test-${process.pid}-release-`))
  mkdirSync(path.join(folder, 'bin'))
  for (const name of ['buildkitd', 'buildctl', 'buildkit-runc', 'buildkit-qemu-arm'])
    writeFileSync(path.join(folder, 'bin', name), `${name} of the release`)
  spawnSync('tar', ['-czf', path.join(folder, 'release.tar.gz'), '-C', folder, 'bin'])
  archive = readFileSync(path.join(folder, 'release.tar.gz'))
  server = http.createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    response.end(archive)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
})
afterAll(() => {
  server.close()
  rmSync(folder, { recursive: true })
})
beforeEach(() => {
  asked = []
})

/** Takes BuildKit from a server of ours into a cache of its own; answers what lies there then, or why there is nothing. */
async function take(sha256: string, cache: string): Promise<string[] | string> {
  const { fromRelease } = (await import(new URL('./buildkit.mjs', import.meta.url).href)) as {
    fromRelease: (from: string, known: object) => Promise<string>
  }
  const before = process.env.BERTH_CACHE
  process.env.BERTH_CACHE = path.join(folder, cache)
  try {
    const { port } = server.address() as AddressInfo
    const known = { [process.arch]: { name: 'amd64', sha256 } }
    return readdirSync(await fromRelease(`http://127.0.0.1:${port}`, known)).sort()
  } catch (error) {
    return (error as Error).message
  } finally {
    process.env.BERTH_CACHE = before
    if (before === undefined) delete process.env.BERTH_CACHE
  }
}

test('BuildKit comes from the release of its makers, whose archive has the checksum that is pinned here', async () => {
  const found = await take(createHash('sha256').update(archive).digest('hex'), 'right')
  expect(found).toEqual(['buildctl', 'buildkit-runc', 'buildkitd'])
  expect(asked[1]).toBe('GET /v0.33.1/buildkit-v0.33.1.linux-amd64.tar.gz')
})

test('an archive with another checksum is refused, and nothing of it stays', async () => {
  expect(await take('0'.repeat(64), 'wrong')).toBe('buildkit-v0.33.1.linux-amd64.tar.gz has a wrong checksum')
  expect(readdirSync(path.join(folder, 'wrong'))).toEqual([])
})
