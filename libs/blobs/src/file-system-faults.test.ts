import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync } from 'node:fs'
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises'
import http from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from '@jest/globals'
import { breakingAfter, chunksOf, freshBlob, freshId, gatheringSink, MiB, readAll, staged } from './contract/subject.ts'
import { createFileSystemStore } from './file-system/store.ts'
import { blobPath } from './store/paths.ts'
import type { BlobKey } from './store/store.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-blobs-'))
const root = join(folder, 'root')
const store = createFileSystemStore({ root })
afterAll(async () => {
  await store.close()
  await rm(folder, { recursive: true })
})

const openFiles = () => readdirSync('/dev/fd').length

test('a file that is cut while it is sent never ends as if it were whole', async () => {
  await store.check()
  const { bytes, key } = freshBlob(6 * MiB)
  await store.write(key, chunksOf(bytes))
  for (const range of [undefined, { start: 3 * MiB, end: 3 * MiB + 10 }]) {
    const blob = await store.open(key)
    await truncate(join(root, blobPath(key)), 2 * MiB)
    const { sink } = gatheringSink()
    await expect(blob?.sendTo(sink, { range })).rejects.toMatchObject({ code: 'damaged' })
    expect(sink.destroyed).toBe(range === undefined)
    await expect(Array.fromAsync(blob?.stream({ range }) ?? [])).rejects.toMatchObject({ code: 'damaged' })
    await blob?.close()
    await truncate(join(root, blobPath(key)), 6 * MiB)
  }
})

test('a damaged file of another size is replaced by verified bytes', async () => {
  await store.check()
  const { bytes, key } = freshBlob(1000)
  await store.write(key, chunksOf(bytes))
  await truncate(join(root, blobPath(key)), 10)
  await store.write(key, chunksOf(bytes))
  expect((await readAll(store, key)).equals(bytes)).toBe(true)
})

test('a blob that is removed while it is open is still read to its end', async () => {
  await store.check()
  const { bytes, key } = freshBlob(3 * MiB)
  await store.write(key, chunksOf(bytes))
  const blob = await store.open(key)
  await store.remove(key)
  expect(Buffer.concat(await Array.fromAsync(blob?.stream() ?? [])).equals(bytes)).toBe(true)
  await blob?.close()
})

test('clients that hang up midway leave no file open, also those that never read', async () => {
  await store.check()
  const { bytes, key } = freshBlob(24 * MiB)
  await store.write(key, chunksOf(bytes))
  const before = openFiles()
  let serving = 0
  const idle = Promise.withResolvers<void>()
  const server = http.createServer((_request, response) => {
    void (async () => {
      const blob = await store.open(key)
      response.writeHead(200, { 'content-length': bytes.length })
      await Promise.allSettled([blob?.sendTo(response)])
      await blob?.close()
      serving += 1
      if (serving === 8) idle.resolve()
    })()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  for (let client = 0; client < 8; client += 1) {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    await once(socket, 'readable')
    socket.destroy()
  }
  await idle.promise
  server.close()
  server.closeAllConnections()
  await once(server, 'close')
  expect(openFiles()).toBeLessThanOrEqual(before)
})

test('what is said to be there and cannot be read is written again, and no file stays open', async () => {
  await store.check()
  const { bytes, key } = freshBlob(9 * MiB)
  await store.write(key, chunksOf(bytes))
  const before = openFiles()
  const [there, own] = [1_000, 2_000].map((more) => ({ ...key, generation: key.generation + more })) as [
    BlobKey,
    BlobKey,
  ]
  // A folder can be opened and gives no bytes, as a file on a dying disk.
  await mkdir(join(root, blobPath(there)), { recursive: true })
  expect(await store.write(own, chunksOf(bytes), { there: async () => there })).not.toHaveProperty('isThere')
  expect((await readAll(store, own)).equals(bytes)).toBe(true)
  for (const source of [chunksOf(bytes), breakingAfter(bytes.subarray(0, 5 * MiB), new Error('hung up'))])
    await Promise.allSettled([
      store.write({ ...own, generation: own.generation + 1 }, source, { there: async () => key }),
    ])
  expect(openFiles()).toBeLessThanOrEqual(before)
})

test('files that are no blobs are passed over', async () => {
  await store.check()
  await mkdir(join(root, 'blobs/sha256/zz'), { recursive: true })
  await writeFile(join(root, 'blobs/sha256/zz/README'), 'x')
  await writeFile(join(root, 'blobs/sha256/stray'), 'x')
  const found = await Array.fromAsync(store.walk())
  expect(found.every((blob) => blob.digest.startsWith('sha256:'))).toBe(true)
})

const isRoot = process.getuid?.() === 0
const tmpfs = isRoot && spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', mountPoint()]).status === 0
const onFullDisk = tmpfs ? describe : describe.skip

onFullDisk(tmpfs ? 'on a full disk' : 'on a full disk (SKIPPED: cannot mount a small tmpfs, which needs root)', () => {
  const small = createFileSystemStore({ root: mountPoint() })
  afterAll(async () => {
    await small.close()
    execFileSync('umount', [mountPoint()])
  })

  test('a write says so, leaves nothing, and the store goes on', async () => {
    await small.check()
    const kept = freshBlob(MiB)
    await small.write(kept.key, chunksOf(kept.bytes))
    const large = freshBlob(9 * MiB)
    await expect(small.write(large.key, chunksOf(large.bytes))).rejects.toMatchObject({ code: 'no_space' })
    await expect(small.writePart(freshId(), 0, chunksOf(large.bytes))).rejects.toMatchObject({ code: 'no_space' })
    expect(await small.stat(large.key)).toBeUndefined()
    expect(await staged(small)).toEqual([])
    expect((await readAll(small, kept.key)).equals(kept.bytes)).toBe(true)
    const next = freshBlob(MiB)
    expect((await small.write(next.key, chunksOf(next.bytes))).sizeBytes).toBe(MiB)
  })
})

const canTrace = spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0
const withTracing = canTrace ? describe : describe.skip

withTracing(canTrace ? 'on a failing disk' : 'on a failing disk (SKIPPED: strace is missing or may not trace)', () => {
  test.each(['fdatasync', 'fsync'])('a write whose %s fails is an error, and nothing is visible', (call) => {
    const script = fileURLToPath(new URL('./file-system/failing-disk.fixture.ts', import.meta.url))
    // Not the calls of the self-test before it: those of the write are the next ones.
    const result = spawnSync(
      'strace',
      [
        '-f',
        '-o',
        '/dev/null',
        '-e',
        `trace=${call}`,
        '-e',
        `inject=${call}:error=EIO`,
        process.execPath,
        script,
        root,
      ],
      { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } },
    )
    expect(result.stdout.trim().split('\n')).toEqual([
      'small unavailable absent',
      'large unavailable absent',
      'staged 0',
    ])
  })
})

function mountPoint(): string {
  const path = join(folder, 'small')
  spawnSync('mkdir', ['-p', path])
  return path
}
