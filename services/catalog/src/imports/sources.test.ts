import { createHash, randomUUID } from 'node:crypto'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import type { CommandClient, TasksCommands } from '@berth/commands'
import { createLogger } from '@berth/service'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Packed, pack, packImages, tarOf } from '../archives/archive.fixture.ts'
import { contentOf } from '../testing/catalog.fixture.ts'
import { runCollector } from '../testing/collect.fixture.ts'
import { beginTask, holderOf, type ImportJob, insertImport } from './import-row.ts'
import { apply, type Harbour, jobOf, plan, startHarbour } from './imports.fixture.ts'
import { dropPart, partBytes, readPieces, storePiece } from './store-piece.ts'
import { endLostImports, forgetIdle, forgetImport } from './sweep-imports.ts'
import { placeBelow, readPlace } from './transfer-place.ts'

const actor = { id: randomUUID(), name: 'ana' }
const never = new AbortController().signal
let harbour: Harbour
beforeAll(async () => {
  harbour = await startHarbour()
}, 60_000)
afterAll(() => harbour?.stop())

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}

const upload = () => insertImport(harbour.db, { source: 'upload', path: null, actor })
const at = (name: string) => insertImport(harbour.db, { source: 'directory', path: name, actor })

async function send(job: ImportJob, parts: readonly Buffer[], chunkBytes: number): Promise<void> {
  for (const [part, bytes] of parts.entries())
    for (let startOffset = 0; startOffset < bytes.length; startOffset += chunkBytes)
      await storePiece(
        harbour,
        { importId: job.id, part, startOffset },
        once(bytes.subarray(startOffset, startOffset + chunkBytes)),
      )
}

async function expectImported(job: ImportJob, packed: Packed): Promise<void> {
  expect(await apply(harbour, job)).toMatchObject({ state: 'completed' })
  expect((await contentOf(harbour.db, packed.name)).tags).toEqual(packed.tags)
}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'taken',
    (error: { code?: string; message: string }) => `${error.code}: ${error.message}`,
  )

test('an upload in parts and chunks is one archive, and a chunk for a place that is taken is refused', async () => {
  const app = packImages('parts/app', { v1: [5_000, 70_000] })
  const tar = tarOf(pack([app]))
  const job = await upload()
  await send(job, [tar.subarray(0, 30_000), tar.subarray(30_000, 60_000), tar.subarray(60_000)], 7_000)
  expect(await partBytes(harbour.db, job.id, 1)).toBe(30_000)
  const again = storePiece(harbour, { importId: job.id, part: 1, startOffset: 7_000 }, once(Buffer.from('x')))
  expect(await codeOf(again)).toMatch(/^upload_taken_over/)
  await expectImported(job, app)
})

test('what came before an upload broke off is kept', async () => {
  const job = await upload()
  async function* broken(): AsyncIterable<Uint8Array> {
    yield Buffer.alloc(1_000, 'a')
    throw new Error('the client left')
  }
  await expect(storePiece(harbour, { importId: job.id, part: 0, startOffset: 0 }, broken())).rejects.toThrow(
    'the client left',
  )
  expect(await partBytes(harbour.db, job.id, 0)).toBe(1_000)
})

test('a part that is missing is said, and that nothing was sent', async () => {
  const job = await upload()
  expect(await codeOf(plan(harbour, job))).toMatch(/^nothing_uploaded/)
  await storePiece(harbour, { importId: job.id, part: 1, startOffset: 0 }, once(Buffer.from('x')))
  expect(await codeOf(plan(harbour, job))).toBe('bad_archive: part 0 is missing')
})

test.each([
  ['gzip', gzipSync],
  ['zstd', zstdCompressSync],
])(
  'an archive compressed by %s is unpacked once, and one that unpacks to too much is refused',
  async (kind, compress) => {
    const app = packImages(`packed/${kind}`, { v1: [5_000, 70_000] })
    const job = await upload()
    await send(job, [compress(tarOf(pack([app])))], 20_000)
    expect((await plan(harbour, job)).repositories).toHaveLength(1)
    expect(await jobOf(harbour, job.id)).toMatchObject({ unpacked: true })
    await expectImported(await jobOf(harbour, job.id), app)
    const bomb = await upload()
    await send(bomb, [compress(Buffer.alloc(64 << 20))], 1 << 20)
    expect(await codeOf(plan(harbour, bomb))).toMatch(/^bad_archive: .* unpacks to more than 200 times its size/)
    const broken = await upload()
    await send(broken, [compress(tarOf(pack([app]))).subarray(0, 300)], 1_000)
    expect(await codeOf(plan(harbour, broken))).toMatch(
      /^bad_archive: part 0 at \d+ is near where it cannot be unpacked/,
    )
  },
)

test('a folder is a layout, or the parts of an archive in the order of their checksums, which verifying compares', async () => {
  const app = packImages('lying/app', { v1: [5_000] })
  for (const [name, bytes] of pack([app])) {
    const file = path.join(harbour.transferDirectory, 'layout', name)
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(file, bytes)
  }
  await expectImported(await at('layout'), app)
  const tar = tarOf(pack([packImages('lying/parts', { v1: [5_000] })]))
  const folder = path.join(harbour.transferDirectory, 'january', 'parts')
  await mkdir(folder, { recursive: true })
  const sums: string[] = []
  for (const [name, bytes] of [
    ['b.1', tar.subarray(0, 3_000)],
    ['a.2', tar.subarray(3_000)],
  ] as const) {
    await writeFile(path.join(folder, name), bytes)
    sums.push(`${createHash('sha256').update(bytes).digest('hex')}  ${name}\n`)
  }
  await writeFile(path.join(folder, 'SHA256SUMS'), sums.join(''))
  const job = await at('january/parts')
  expect(await apply(harbour, job, { kind: 'verify' })).toMatchObject({ state: 'completed' })
  await writeFile(path.join(folder, 'SHA256SUMS'), `${'0'.repeat(64)}  b.1\n${sums[1]}`)
  expect(await apply(harbour, job, { kind: 'verify' })).toMatchObject({
    error: { code: 'bad_archive', message: 'b.1 is not what SHA256SUMS says of it' },
  })
  await writeFile(path.join(folder, 'SHA256SUMS'), `${sums[0]}${sums[1]?.replace('a.2', 'c.3')}`)
  expect(await codeOf(plan(harbour, job))).toBe('bad_archive: c.3 is missing')
  await writeFile(path.join(folder, 'SHA256SUMS'), `${sums[0]}${sums[1]?.replace('a.2', '../a.2')}`)
  expect(await codeOf(plan(harbour, job))).toMatch(/^bad_archive: SHA256SUMS:2 is no line of sha256sum/)
})

test('nothing outside of the directory for transfers is read, by no path and no link', async () => {
  const { transferDirectory } = harbour
  await symlink('/etc', path.join(transferDirectory, 'elsewhere'))
  await symlink('/etc/passwd', path.join(transferDirectory, 'file'))
  for (const given of ['../x', '/etc/passwd', 'a/../../x', 'a\0b', '', '.', `${transferDirectory}x/a`])
    expect(await codeOf(readPlace(transferDirectory, given))).toMatch(/^invalid_field: from\.path/)
  expect(await readPlace(transferDirectory, path.join(transferDirectory, 'a', 'b.tar'))).toBe('a/b.tar')
  expect(await codeOf(placeBelow(transferDirectory, 'elsewhere/passwd'))).toMatch(/^not_a_folder/)
  expect(await codeOf(placeBelow(transferDirectory, 'file'))).toMatch(/which is a link/)
  expect(await codeOf(placeBelow(transferDirectory, 'not-there'))).toMatch(/which is not there/)
  expect(await codeOf(readPlace(undefined, 'x'))).toMatch(/^no_transfer_directory/)
})

test('an import that is given up is forgotten with what was sent, which is collected', async () => {
  const job = await upload()
  await send(job, [Buffer.from('what nobody needs')], 100)
  const [piece] = await readPieces(harbour.db, job.id)
  await forgetIdle(harbour.db, never)
  expect(await readPieces(harbour.db, job.id)).toHaveLength(1)
  await harbour.db.query(`update import_job set touched_at = now() - interval '73 hours' where id = $1`, [job.id])
  await forgetIdle(harbour.db, never)
  expect(await harbour.db.query('select from import_job where id = $1', [job.id])).toEqual([])
  expect(await harbour.db.query('select from lease where holder = $1', [holderOf(job.id)])).toEqual([])
  await runCollector(harbour)
  if (piece) expect(await harbour.blobs.stat(piece)).toBeUndefined()
})

const leasesOf = async ({ id }: ImportJob) =>
  (
    await harbour.db.query<{ digest: string }>('select digest from lease where holder = $1 order by digest', [
      holderOf(id),
    ])
  ).map(({ digest }) => digest)
const digestsOf = async ({ id }: ImportJob, wanted: number) =>
  (await readPieces(harbour.db, id)).filter(({ part }) => part === wanted).map(({ digest }) => digest)

test('a part that is dropped lets go of what no other part and nothing verified has, and an import that is deleted of all', async () => {
  const job = await upload()
  const [both, only, stays] = ['in both parts', 'in this one only', 'verified'].map((text) =>
    Buffer.from(text.padEnd(50)),
  )
  await send(job, [Buffer.concat([both, only, stays] as Buffer[]), both as Buffer], 50)
  const [shared = '', dropped = '', verified = ''] = await digestsOf(job, 0)
  await harbour.db.query('insert into import_verified (import_id, digest) values ($1, $2)', [job.id, verified])
  expect(await leasesOf(job)).toEqual([shared, dropped, verified].sort())
  await dropPart(harbour.db, job.id, 0)
  expect(await leasesOf(job)).toEqual([shared, verified].sort())
  await runCollector(harbour)
  const stored = await harbour.db.query<{ digest: string }>(
    `select digest from blob where digest = any($1) and state = 'present' order by digest`,
    [[shared, dropped, verified]],
  )
  expect(stored.map(({ digest }) => digest)).toEqual([shared, verified].sort())
  await forgetImport(harbour.db, job.id, { keepsRow: false })
  expect(await leasesOf(job)).toEqual([])
})

test('a chunk that comes when its import is deleted leaves no lease behind', async () => {
  const job = await upload()
  await send(job, [Buffer.from('first')], 5)
  async function* slow(): AsyncIterable<Uint8Array> {
    yield Buffer.from('second')
    await forgetImport(harbour.db, job.id, { keepsRow: false })
  }
  const late = storePiece(harbour, { importId: job.id, part: 0, startOffset: 5 }, slow())
  expect(await codeOf(late)).toMatch(/^upload_taken_over/)
  expect(await leasesOf(job)).toEqual([])
})

test('an import that came to its end and is deleted lets go of its leases, and what it brought stays', async () => {
  const app = packImages('ended/app', { v1: [5_000] })
  const job = await upload()
  await send(job, [tarOf(pack([app]))], 4_000)
  await expectImported(job, app)
  expect((await leasesOf(job)).length).toBeGreaterThan(app.blobs.size)
  await forgetImport(harbour.db, job.id, { keepsRow: false })
  expect(await leasesOf(job)).toEqual([])
  await runCollector(harbour)
  const [left] = await harbour.db.query(
    `select count(*)::integer as count from blob where digest = any($1) and state = 'present'`,
    [[...app.blobs.keys(), ...app.manifests.keys()]],
  )
  expect(left).toEqual({ count: app.blobs.size + app.manifests.size })
})

test('an import whose task ended without its worker has failed, and can be begun again', async () => {
  const app = packImages('lost/app', { v1: [100] })
  const job = await upload()
  await send(job, [tarOf(pack([app]))], 1 << 20)
  const taskId = randomUUID()
  expect(await beginTask(harbour.db, job.id, taskId)).toBe(true)
  expect(await beginTask(harbour.db, job.id, randomUUID())).toBe(false)
  const states = (state: string) =>
    ({ call: async () => ({ tasks: [{ id: taskId, state, error: null }] }) }) as unknown as CommandClient<TasksCommands>
  const log = createLogger({ service: 'catalog', silent: true })
  await endLostImports({ db: harbour.db, tasks: states('waiting'), log }, never)
  expect(await jobOf(harbour, job.id)).toMatchObject({ state: 'running' })
  await endLostImports({ db: harbour.db, tasks: states('cancelled'), log }, never)
  expect(await jobOf(harbour, job.id)).toMatchObject({ state: 'failed', error: { code: 'cancelled' } })
  await expectImported(job, app)
})
