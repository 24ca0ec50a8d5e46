import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import fs, { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { readFile, rename, rm, truncate, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { mock } from 'node:test'
import { fileURLToPath } from 'node:url'
import { asDigest, hexOf } from '@berth/oci'
import { until } from '@berth/service/testing'
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { chunksOf, freshBlob, freshId, readAll, staged } from './contract/subject.ts'
import type { JournalOptions } from './file-system/journal.ts'
import { readRecords, recordHead } from './file-system/journal-record.ts'
import { replayJournals } from './file-system/replay.ts'
import { createFileSystemStore } from './file-system/store.ts'
import { blobPath } from './store/paths.ts'
import type { BlobKey, BlobStore } from './store/store.ts'

const fixture = fileURLToPath(new URL('./file-system/journal.fixture.ts', import.meta.url))
let folder: string
let root: string
const started: Writer[] = []
const stores: BlobStore[] = []

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'berth-journal-'))
  root = join(folder, 'root')
  await open().check()
})
afterEach(async () => {
  for (const writer of started.splice(0))
    if (writer.child.exitCode === null && writer.child.signalCode === null) await kill(writer)
  for (const store of stores.splice(0)) await store.close()
  await rm(folder, { recursive: true })
})

function open(journal?: JournalOptions): BlobStore {
  const store = createFileSystemStore({ root, journal })
  stores.push(store)
  return store
}

const logsOf = (owner: string) =>
  readdirSync(join(root, 'staging')).filter((name) => name.startsWith(`journal.${owner}.`))
const keysIn = async (owner: string): Promise<BlobKey[]> => {
  const logs = await Promise.all(logsOf(owner).map((name) => readFile(join(root, 'staging', name))))
  return logs.flatMap((log) => readRecords(log).records.map(({ key }) => key))
}

type Writer = { lines: string[]; written: () => BlobKey[]; child: ChildProcess; ended: Promise<unknown> }

/** A process that writes small blobs with a journal; under strace if that is given, with one thread for all work on files. */
function startWriter(owner: string, { args = [] as string[], strace = [] as string[], directory = root } = {}): Writer {
  const command = strace.length > 0 ? ['strace', '-f', '-o', '/dev/null', ...strace] : []
  const [program = '', ...rest] = [...command, process.execPath, fixture, directory, owner, ...args]
  const child = spawn(program, rest, {
    env: { ...process.env, NODE_OPTIONS: '', ...(strace.length > 0 ? { UV_THREADPOOL_SIZE: '1' } : {}) },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  const written = () =>
    lines.flatMap((line) => {
      const [verb, digest = '', generation] = line.split(' ')
      return verb === 'written' ? [{ digest: asDigest(digest), generation: Number(generation) }] : []
    })
  // Its last lines are read when it is gone.
  const writer = { lines, written, child, ended: once(child, 'close') }
  started.push(writer)
  return writer
}

async function kill({ lines, ended }: Writer): Promise<void> {
  process.kill(Number(lines[0]?.split(' ')[1]), 'SIGKILL')
  await ended
}

async function expectAllRight(keys: readonly BlobKey[]): Promise<void> {
  const store = open()
  for (const key of keys) {
    const hex = createHash('sha256')
      .update(await readAll(store, key))
      .digest('hex')
    expect(hex).toBe(hexOf(key.digest))
  }
}

/** What a power cut may do to files that nobody has flushed. */
async function damage(keys: readonly BlobKey[]): Promise<number> {
  let damaged = 0
  for (const [at, key] of keys.entries()) {
    const path = join(root, blobPath(key))
    // The kill came between the append and its file.
    if (!existsSync(path)) continue
    const { length } = await readFile(path)
    const ways = [
      () => unlink(path),
      () => truncate(path, 0),
      () => truncate(path, Math.floor(length / 2)),
      () => writeFile(path, Buffer.alloc(length)),
      undefined,
    ]
    const way = ways[at % ways.length]
    await way?.()
    if (way) damaged += 1
  }
  return damaged
}

/** The append that a power cut came into: a head and some of its bytes, behind what is whole. */
async function tear(log: string): Promise<void> {
  const bytes = await readFile(log)
  const { records } = readRecords(bytes)
  const end = records.reduce(
    (sum, record) => sum + recordHead(record.place, record.bytes.length).length + record.bytes.length,
    0,
  )
  bytes.copy(bytes, end, 0, 150)
  await writeFile(log, bytes)
}

test('killed in the middle of writing, with the files of the last minute damaged: all that was acknowledged is there', async () => {
  const acknowledged: BlobKey[] = []
  for (let round = 0; round < 4; round++) {
    const writer = startWriter('home.one')
    const least = 30 + round * 40
    await until(async () => writer.written().length >= least)
    await kill(writer)
    acknowledged.push(...writer.written())
    const covered = await keysIn('home.one')
    const [damaged, log = ''] = [await damage(covered), logsOf('home.one')[0]]
    await tear(join(root, 'staging', log))
    const { blobs, written, tornBytes } = await replayJournals(root, undefined)
    expect({ blobs, isTorn: tornBytes > 0 }).toEqual({ blobs: covered.length, isTorn: true })
    expect(written).toBeGreaterThanOrEqual(damaged)
    expect(logsOf('home.one')).toEqual([])
  }
  expect(acknowledged.length).toBeGreaterThan(300)
  await expectAllRight(acknowledged)
}, 60_000)

test('nothing can be read before the append that makes it durable has ended', async () => {
  const store = open({ owner: 'home.one' })
  const { bytes, key } = freshBlob(3_000)
  const writing = store.write(key, chunksOf(bytes))
  for (let isOver = false; !isOver; ) {
    isOver = await Promise.race([writing.then(() => true), store.stat(key).then(() => false)])
    if (existsSync(join(root, blobPath(key)))) expect(await keysIn('home.one')).toEqual([key])
  }
  expect(await keysIn('home.one')).toEqual([key])
})

test('a log is removed once its files are flushed, by itself and at the end; what was removed meanwhile is passed over', async () => {
  const store = open({ owner: 'home.one', limits: { logMs: 20, restMs: 20 } })
  const blobs = Array.from({ length: 20 }, () => freshBlob(1_000))
  await Promise.all(blobs.map(({ bytes, key }) => store.write(key, chunksOf(bytes))))
  expect(logsOf('home.one')).toHaveLength(1)
  const [removed, ...left] = blobs.map(({ key }) => key)
  if (removed) await store.remove(removed)
  await until(async () => logsOf('home.one').length === 0)
  const lasting = open({ owner: 'home.two' })
  const last = freshBlob(1_000)
  await lasting.write(last.key, chunksOf(last.bytes))
  await lasting.close()
  expect(logsOf('home.two')).toEqual([])
  await expectAllRight([...left, last.key])
})

test('what the collector has removed a replay may bring back, for it to be collected again', async () => {
  const store = open({ owner: 'home.one' })
  const { bytes, key } = freshBlob(1_000)
  await store.write(key, chunksOf(bytes))
  await store.remove(key)
  await replayJournals(root, undefined)
  expect((await readAll(store, key)).equals(bytes)).toBe(true)
  expect(await store.remove(key)).toBe(true)
})

test('a journal is no leftover, and a sweep of staging leaves it', async () => {
  const store = open({ owner: 'home.one' })
  const { bytes, key } = freshBlob(1_000)
  await store.write(key, chunksOf(bytes))
  expect(await staged(store)).toEqual([])
  expect(logsOf('home.one')).toHaveLength(1)
})

test('two processes have a journal each; that of a dead one, or of a home, is replayed while others go on', async () => {
  const [dead, living] = [startWriter('home.one'), startWriter('other.one')]
  await until(async () => dead.written().length > 100 && living.written().length > 100)
  await kill(dead)
  await damage(await keysIn('home.one'))
  const { foreign } = await replayJournals(root, 'home')
  expect(logsOf('home.one')).toEqual([])
  expect(foreign.length).toBeGreaterThan(0)
  expect(logsOf('other.one')).toEqual(expect.arrayContaining(foreign))
  const before = living.written().length
  await until(async () => living.written().length > before + 100)
  expect(await replayJournals(root, 'other.two')).toMatchObject({ logs: 0, blobs: 0 })
  await kill(living)
  await damage(await keysIn('other.one'))
  await replayJournals(root, undefined)
  await expectAllRight([...dead.written(), ...living.written()])
}, 30_000)

test('a small part that a power cut has taken is missing when it is published, and never half a blob', async () => {
  const store = open({ owner: 'home.one' })
  const { bytes, key } = freshBlob(5_000)
  const part = await store.writePart(freshId(), 0, chunksOf(bytes))
  const file = join(root, 'staging', `part.${part.id}`)
  await until(async () => existsSync(file) && readFileSync(file).length === 5_000)
  // Another process, which does not have its bytes in memory.
  const successor = open({ owner: 'home.two' })
  await truncate(file, 1_000)
  await expect(successor.publish([part], key)).rejects.toMatchObject({ code: 'missing_part' })
  await writeFile(file, Buffer.alloc(5_000))
  await expect(successor.publish([part], key)).rejects.toThrow(/digest/)
  expect(await store.stat(key)).toBeUndefined()
  expect((await store.publish([part], key)).sizeBytes).toBe(5_000)
})

test('a small part has no file before it is published, unless its process ends', async () => {
  const store = open({ owner: 'home.one', isAlone: true })
  const [published, kept] = [freshBlob(5_000), freshBlob(5_000)]
  const part = await store.writePart(freshId(), 0, chunksOf(published.bytes))
  await expect(store.writePart(part.id, 0, chunksOf(published.bytes))).rejects.toMatchObject({ code: 'conflict' })
  expect((await store.publish([part], published.key)).sizeBytes).toBe(5_000)
  await store.discardParts([part.id])
  // Of several the end is made of what is in memory as well.
  const halves = [kept.bytes.subarray(0, 2_000), kept.bytes.subarray(2_000)]
  const parts = [await store.writePart(freshId(), 0, chunksOf(halves[0] as Buffer))]
  parts.push(await store.writePart(freshId(), 2_000, chunksOf(halves[1] as Buffer)))
  expect((await store.publish(parts, kept.key)).sizeBytes).toBe(5_000)
  await store.close()
  const successor = open({ owner: 'home.two' })
  const again = { ...kept.key, generation: kept.key.generation + 1_000 }
  expect((await successor.publish(parts, again)).sizeBytes).toBe(5_000)
  expect((await readAll(successor, again)).equals(kept.bytes)).toBe(true)
})

test('while the disk is away a small part is kept, and its end refused; with the disk back it can be published', async () => {
  const store = open({ owner: 'home.one', isAlone: true })
  const { bytes, key } = freshBlob(5_000)
  const away = `${root}-away`
  await rename(root, away)
  const part = await store.writePart(freshId(), 0, chunksOf(bytes))
  await expect(store.publish([part], key)).rejects.toMatchObject({ name: 'BlobStoreError' })
  await rename(away, root)
  expect((await store.publish([part], key)).sizeBytes).toBe(5_000)
  expect((await readAll(store, key)).equals(bytes)).toBe(true)
})

test('before the disk has taken an append no call waits for it in the thread that serves everybody', async () => {
  const store = open({ owner: 'home.one' })
  const [part, whole] = [freshBlob(5_000), freshBlob(5_000)]
  const waiting = (['openSync', 'writeFileSync', 'lstatSync', 'renameSync'] as const).map((name) =>
    mock.method(fs, name),
  )
  const count = () => waiting.reduce((sum, { mock: { calls } }) => sum + calls.length, 0)
  // What a disk that hangs would never answer.
  const appends = mock.method(fs, 'writev', () => {})
  try {
    const staged = await store.writePart(freshId(), 0, chunksOf(part.bytes))
    expect(count()).toBe(0)
    const ended = Promise.all([store.publish([staged], part.key), store.write(whole.key, chunksOf(whole.bytes))])
    await until(async () => appends.mock.calls.length > 0)
    expect(count()).toBe(0)
    const held = appends.mock.calls[0]?.arguments as Parameters<typeof fs.writev>
    appends.mock.restore()
    fs.writev(...held)
    await ended
    expect(count()).toBeGreaterThan(0)
  } finally {
    for (const { mock: one } of [appends, ...waiting]) one.restore()
  }
})

test('a journal of a form that this release does not know is left alone, and said', async () => {
  const strange = join(root, 'staging', 'journal.2.one.x')
  await writeFile(strange, 'x')
  await expect(replayJournals(root, undefined)).rejects.toMatchObject({ code: 'misconfigured' })
  expect(readFileSync(strange, 'utf8')).toBe('x')
})

test('there is nothing to replay where there is no store yet', async () => {
  expect(await replayJournals(join(folder, 'none'), undefined)).toMatchObject({ logs: 0 })
})

const canTrace = spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0
const withTracing = canTrace ? describe : describe.skip

withTracing(canTrace ? 'on a failing disk' : 'on a failing disk (SKIPPED: strace is missing or may not trace)', () => {
  const inject = (fault: string) => ['-e', `trace=${fault.split(':')[0]}`, '-e', `inject=${fault}`]

  test('an append that fails is an error to those in it, and the next one begins another log', async () => {
    const writer = startWriter('home.one', { args: ['40', '4'], strace: inject('pwritev:error=EIO:when=3') })
    await until(async () => writer.lines.includes('done'))
    const failed = writer.lines.filter((line) => line.startsWith('failed'))
    expect(new Set(failed)).toEqual(new Set(['failed unavailable']))
    expect(failed.length + writer.written().length).toBe(40)
    expect(logsOf('home.one')).toHaveLength(2)
    await kill(writer)
    await damage(writer.written())
    await replayJournals(root, undefined)
    await expectAllRight(writer.written())
  }, 30_000)

  test('files that cannot be flushed keep their log and make the store unready, and the next start writes them anew', async () => {
    const args = ['20', '4', '10']
    const broken = startWriter('home.one', { args, strace: inject('fdatasync:error=EIO') })
    await until(
      async () => broken.lines.includes('done') && logsOf('home.one').every((name) => name.endsWith('.unflushed')),
    )
    expect(broken.lines).toContain('journal kept')
    broken.child.stdin?.end()
    await broken.ended
    expect(broken.lines).toContain('unready small blobs are in their journal alone: the disk does not take their files')
    // Whatever can be read of them now may be in memory alone: all are written again, the right ones too.
    const { blobs, written } = await replayJournals(root, undefined)
    expect({ blobs, written }).toEqual({ blobs: 20, written: 20 })
    await expectAllRight(broken.written())
  }, 30_000)

  test('those who wait for an append go together in the next one', async () => {
    const traced = join(folder, 'appends')
    const strace = ['-e', 'trace=pwritev', '-o', traced]
    const writer = startWriter('home.one', { args: ['200', '50'], strace })
    await until(async () => writer.lines.includes('done'))
    await kill(writer)
    const appends = readFileSync(traced, 'utf8')
      .split('\n')
      .filter((line) => line.includes('pwritev(')).length
    expect(appends).toBeLessThan(50)
  }, 30_000)
})

const isRoot = process.getuid?.() === 0
const small = mkdtempSync(join(tmpdir(), 'berth-journal-small-'))
const tmpfs = isRoot && spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]).status === 0
const onFullDisk = tmpfs ? describe : describe.skip
afterAll(async () => {
  if (tmpfs) execFileSync('umount', [small])
  await rm(small, { recursive: true })
})

onFullDisk(tmpfs ? 'on a full disk' : 'on a full disk (SKIPPED: cannot mount a small tmpfs, which needs root)', () => {
  test('a write says so, what was acknowledged stays, and with room all goes on', async () => {
    const store = createFileSystemStore({ root: small, journal: { owner: 'home.one' } })
    await store.check()
    const blobs = Array.from({ length: 100 }, () => freshBlob(20_000))
    const outcomes = await Promise.allSettled(blobs.map(({ bytes, key }) => store.write(key, chunksOf(bytes))))
    const keys = blobs.flatMap(({ key }, at) => (outcomes[at]?.status === 'fulfilled' ? [key] : []))
    expect(keys.length).toBeGreaterThan(0)
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'no_space' })
    expect(outcomes.some(({ status }) => status === 'rejected')).toBe(true)
    // What is flushed needs no log any more.
    await store.close()
    for (const name of readdirSync(join(small, 'staging'))) expect(name).not.toMatch(/^(journal|write)/)
    const again = createFileSystemStore({ root: small, journal: { owner: 'home.one' } })
    const next = freshBlob(20_000)
    await again.write(next.key, chunksOf(next.bytes))
    for (const key of [...keys, next.key]) expect(await readAll(again, key)).toHaveLength(20_000)
    await again.close()
  })
})
