import { execFile, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { closeSync, openSync, readdirSync, rmSync, statfsSync, writeSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { pack, packImages, tarOf } from '../archives/archive.fixture.ts'
import { contentOf } from '../testing/catalog.fixture.ts'
import { asProblem } from './import-fault.ts'
import { insertImport } from './import-row.ts'
import { apply, type Harbour, jobOf, makeImport, plan, startHarbour } from './imports.fixture.ts'
import { partBytes, storePiece } from './store-piece.ts'

const run = promisify(execFile)
const mebibyte = 1 << 20
const cannotMount =
  process.geteuid?.() !== 0 || ['mount', 'umount'].some((name) => spawnSync(name, ['--version']).status !== 0)
const group = cannotMount ? describe.skip : describe

group(`a disk that is full${cannotMount ? ' (skipped: mounting needs root and mount)' : ''}`, () => {
  let harbour: Harbour
  let folder = ''
  beforeAll(async () => {
    harbour = await startHarbour(async (place) => {
      await run('mount', ['-t', 'tmpfs', '-o', 'size=96m', 'tmpfs', place])
      folder = place
    })
  }, 60_000)
  afterAll(async () => {
    // The folder is removed when it is one again.
    if (folder) await run('umount', ['-l', folder])
    await harbour?.stop()
  })
  const app = packImages('full/app', { v1: Array<number>(6).fill(9 * mebibyte) })

  test('ends an import with what to do; nothing of it is visible, and it goes on once there is room', async () => {
    const job = await makeImport(harbour, [app])
    const verified = () => harbour.db.query('select digest from import_verified where import_id = $1', [job.id])
    const filler = path.join(folder, 'filler')
    const attempt = apply(harbour, job)
    while ((await verified()).length === 0);
    // Nothing else happens in this process while it fills the disk.
    fill(filler)
    expect(await attempt).toMatchObject({
      state: 'failed',
      error: {
        code: 'store_no_space',
        message: expect.stringMatching(/^The disk of the blob store is full\..*is kept.*POST \/api\/v1\/store\/gc\.$/),
      },
    })
    expect(await jobOf(harbour, job.id)).toMatchObject({ state: 'failed', error: { code: 'store_no_space' } })
    expect(await harbour.db.query(`select from repository where name = 'full/app'`)).toEqual([])
    const kept = (await verified()).length
    expect(kept).toBeGreaterThan(0)
    expect(
      readdirSync(path.join(folder, 'staging'), { recursive: true, withFileTypes: true }).filter((entry) =>
        entry.isFile(),
      ),
    ).toEqual([])

    // Before anything is written it is said where that is known; what is stored needs no more room.
    const disks = (room: number) => async () => [
      { name: 'blobs', label: 'blobs', folder, freeBytes: room, reserveBytes: 0 },
    ]
    const left = (6 - kept) * 9 * mebibyte
    const withRoom = (room: number) => ({ ...harbour, blobs: { ...harbour.blobs, disks: disks(room) } })
    expect(await apply(withRoom(left), job)).toMatchObject({
      state: 'failed',
      error: { code: 'no_room', message: expect.stringContaining('POST /api/v1/store/gc') },
    })
    rmSync(filler)
    const again = await apply(withRoom(left + mebibyte), job)
    expect(again).toMatchObject({ state: 'completed', result: { blobs: { known: kept } } })
    expect(await harbour.db.query('select from import_verified where import_id = $1 and times > 1', [job.id])).toEqual(
      [],
    )
    expect((await contentOf(harbour.db, 'full/app')).tags).toEqual(app.tags)
  }, 60_000)

  test('keeps what came of an upload, which goes on there once there is room', async () => {
    const bytes = tarOf(pack([packImages('full/sent', { v1: [4 * mebibyte] })]))
    const job = await insertImport(harbour.db, {
      source: 'upload',
      path: null,
      actor: { id: randomUUID(), name: 'ana' },
    })
    const send = (from: number, to = bytes.length) =>
      storePiece(harbour, { importId: job.id, part: 0, startOffset: from }, chunksOf(bytes.subarray(from, to)))
    await send(0, mebibyte)
    const filler = path.join(folder, 'filler')
    fill(filler)
    const refused = await send(mebibyte).catch(asProblem)
    expect(refused).toMatchObject({
      status: 503,
      code: 'store_no_space',
      options: { hint: expect.stringContaining('POST /api/v1/store/gc') },
    })
    rmSync(filler)
    const held = await partBytes(harbour.db, job.id, 0)
    expect(held).toBeGreaterThanOrEqual(mebibyte)
    await send(held)
    expect((await plan(harbour, job)).repositories).toMatchObject([{ name: 'full/sent', conflict: null }])
    expect(await apply(harbour, job)).toMatchObject({ state: 'completed' })
  }, 60_000)
})

async function* chunksOf(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
}

/** Writes a file until the file system takes no byte more. */
function fill(file: string): void {
  const { bavail, bsize } = statfsSync(path.dirname(file))
  const fd = openSync(file, 'w')
  const chunk = Buffer.alloc(mebibyte)
  try {
    for (let rest = bavail * bsize; rest > 0; ) rest -= writeSync(fd, chunk, 0, Math.min(chunk.length, rest))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  } finally {
    closeSync(fd)
  }
}
