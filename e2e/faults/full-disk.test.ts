import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { withBerth } from '../berth/with-berth.ts'
import { berthTarget } from '../conformance/berth.ts'
import { newManifest } from '../conformance/manifests.ts'
import { digestOf, octets, pathOf, type Reply, Wire, withDigest } from '../conformance/wire.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const execute = promisify(execFile)
const mebibyte = 1 << 20
const missing = missingPrograms('mount', 'umount')
const why =
  process.geteuid?.() === 0 ? missing.map((name) => `${name} not installed`).join(', ') : 'mounting needs root'
const group = why ? describe.skip : describe

group(`a blob store that fails${why ? ` (${why})` : ''}`, () => {
  const repository = 'disk/app'
  let folder: string
  let mounted = ''
  const stack = withBerth(async () => {
    folder = makeTemporaryFolder('full-disk')
    const place = path.join(folder, 'blobs')
    mkdirSync(place)
    await execute('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', place])
    mounted = place
    return { own: true, env: { BERTH_BLOBS_DIR: mounted } }
  })
  let wire: Wire
  const layer = randomBytes(mebibyte)

  beforeAll(async () => {
    wire = new Wire(berthTarget(stack))
    await wire.push(repository, layer)
  }, 90_000)
  afterAll(async () => {
    wire?.close()
    if (mounted) await execute('umount', [mounted])
    if (folder) removeFolder(folder)
  }, 60_000)

  const expectUnavailable = ({ status, headers, body }: Reply) => {
    const { code } = JSON.parse(body.toString() || '{"errors":[{}]}').errors[0]
    expect({ status, code, retryAfter: headers['retry-after'] }).toEqual({
      status: 503,
      code: 'UNAVAILABLE',
      retryAfter: expect.stringMatching(/^\d+$/),
    })
  }
  const offsetOf = async (place: string) => {
    const { status, headers } = await wire.send('GET', place)
    expect(status).toBe(204)
    return headers.range === '0-0' ? 0 : Number(/^0-(\d+)$/.exec(headers.range as string)?.[1]) + 1
  }
  const expectPull = async (bytes: Buffer, tag: string) => {
    const got = await wire.send('GET', `/v2/${repository}/blobs/${digestOf(bytes)}`)
    expect(got.status).toBe(200)
    expect(got.body.equals(bytes)).toBe(true)
    expect((await wire.send('GET', `/v2/${repository}/manifests/${tag}`)).status).toBe(200)
  }

  test('full: pushes are 503 with Retry-After, pulls go on, and the upload goes on once there is space', async () => {
    const manifest = await newManifest(wire, repository)
    await wire.pushManifest(repository, manifest, 'before')
    const bytes = randomBytes(8 * mebibyte)
    const digest = digestOf(bytes)
    const place = pathOf(await wire.begin(repository))
    const chunk = (from: number, to: number) => ({
      headers: { ...octets, 'content-range': `${from}-${to - 1}` },
      body: bytes.subarray(from, to),
    })
    expect((await wire.send('PATCH', place, chunk(0, mebibyte))).status).toBe(202)

    const filler = path.join(mounted, 'filler')
    fill(filler)
    expectUnavailable(await wire.send('PATCH', place, chunk(mebibyte, bytes.length)))
    const other = randomBytes(2 * mebibyte)
    expectUnavailable(
      await wire.send('POST', `/v2/${repository}/blobs/uploads/?digest=${digestOf(other)}`, {
        headers: octets,
        body: other,
      }),
    )
    const second = withDigest(pathOf(await wire.begin(repository)), digestOf(other))
    expectUnavailable(await wire.send('PUT', second, { headers: octets, body: other }))
    const small = Buffer.from('small')
    expectUnavailable(
      await wire.send('POST', `/v2/${repository}/blobs/uploads/?digest=${digestOf(small)}`, {
        headers: octets,
        body: small,
      }),
    )
    expectUnavailable((await wire.pushManifest(repository, { ...manifest, annotations: { a: 'b' } }, 'full')).reply)

    // Nothing half is to be seen, and what was there is served; so it must go on getting requests.
    for (const absent of [digest, digestOf(other), digestOf(small)])
      expect((await wire.send('HEAD', `/v2/${repository}/blobs/${absent}`)).status).toBe(404)
    expect((await wire.send('HEAD', `/v2/${repository}/manifests/full`)).status).toBe(404)
    await expectPull(layer, 'before')
    expect((await fetch(`${stack.url}/readyz`)).status).toBe(200)
    const held = await offsetOf(place)
    expect(held).toBeGreaterThanOrEqual(mebibyte)

    rmSync(filler)
    expect((await wire.send('PATCH', place, chunk(held, bytes.length))).status).toBe(202)
    expect((await wire.send('PUT', withDigest(place, digest))).status).toBe(201)
    expect((await wire.pushManifest(repository, { ...manifest, annotations: { a: 'b' } }, 'full')).reply.status).toBe(
      201,
    )
    await expectPull(bytes, 'full')
    // What was refused left nothing behind that takes space. The journal has what was taken.
    const here = [path.join(mounted, 'staging'), '-type', 'f', '-size', '+0', '-not', '-name', 'journal.*']
    const { stdout } = await execute('find', here)
    expect(stdout).toBe('')
  }, 60_000)

  const noStrace = missingPrograms('strace').length > 0
  const maybe = noStrace ? test.skip : test
  maybe(
    `a disk that cannot keep what was written: pushes are 503 and nothing is there, until it can again${noStrace ? ' (strace not installed)' : ''}`,
    async () => {
      const manifest = await newManifest(wire, repository)
      const bytes = randomBytes(2 * mebibyte)
      const digest = digestOf(bytes)
      const end = await failSyncs(stack.pid)
      try {
        expectUnavailable(
          await wire.send('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, {
            headers: octets,
            body: bytes,
          }),
        )
        const begun = withDigest(pathOf(await wire.begin(repository)), digest)
        expectUnavailable(await wire.send('PUT', begun, { headers: octets, body: bytes }))
        expectUnavailable((await wire.pushManifest(repository, manifest, 'lost')).reply)
        expect((await wire.send('HEAD', `/v2/${repository}/blobs/${digest}`)).status).toBe(404)
        expect((await wire.send('HEAD', `/v2/${repository}/manifests/lost`)).status).toBe(404)
        expect((await wire.send('GET', `/v2/${repository}/blobs/${digestOf(layer)}`)).status).toBe(200)
      } finally {
        await end()
      }
      await wire.push(repository, bytes)
      expect((await wire.pushManifest(repository, manifest, 'kept')).reply.status).toBe(201)
      await expectPull(bytes, 'kept')
    },
    60_000,
  )
})

/** Writes a file until the file system takes no byte more. */
function fill(file: string): void {
  const fd = openSync(file, 'w')
  try {
    for (const size of [mebibyte, 4096, 1]) for (;;) if (!writeIfSpace(fd, size)) break
  } finally {
    closeSync(fd)
  }
}

function writeIfSpace(fd: number, size: number): boolean {
  try {
    return writeSync(fd, Buffer.alloc(size)) > 0
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false
    throw error
  }
}

/** Makes every fsync and fdatasync of a process fail with EIO, as a broken disk does; answers how to end it. */
async function failSyncs(pid: number): Promise<() => Promise<void>> {
  // The last one is the append to the journal of small blobs.
  const calls = 'fsync,fdatasync,pwritev'
  const strace = spawn('strace', ['-f', '-p', String(pid), '-e', `trace=${calls}`, '-e', `inject=${calls}:error=EIO`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  const attached = new Promise<void>((resolve, reject) => {
    strace.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (/attached/.test(said)) resolve()
    })
    strace.on('error', reject)
    strace.on('exit', () => reject(new Error(`strace ends: ${said}`)))
  })
  await attached
  return async () => {
    strace.kill('SIGINT')
    await once(strace, 'exit')
  }
}
