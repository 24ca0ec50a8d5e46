import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { query } from '../berth/databases.ts'
import { until } from '../berth/processes.ts'
import { type Acknowledged, expectServed, startTraffic } from '../berth/pushed-images.ts'
import { startTestStack, type TestStack } from '../berth/stack.ts'
import { findSystemPostgres, type SystemPostgres, startSystemPostgres } from '../servers/system-postgres.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const programs = fileURLToPath(new URL('../../deploy/backup/', import.meta.url))
const system = findSystemPostgres()
const isWanted = process.env.BERTH_TEST_BACKUP === 'true'
const why = isWanted ? ('why' in system ? system.why : undefined) : 'takes 20 s; BERTH_TEST_BACKUP=true runs it'
const describeBackup = why === undefined ? describe : describe.skip

describeBackup(`berth-backup and berth-restore${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
  let folder: string
  let database: SystemPostgres
  let stack: TestStack
  let acknowledged: Acknowledged[]

  /** Runs a program with the settings of the Berth; answers how it ended and all that it said. */
  const run = async (program: string, ...args: string[]) => {
    const env = {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      BERTH_HOME: stack.home,
      BERTH_DATABASE_URL: database.url,
    }
    const child = spawn(path.join(programs, program), args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text))
    const [code] = await once(child, 'close')
    return { code, said }
  }
  const backups = () => readdirSync(folder).filter((name) => name.endsWith('Z'))

  beforeAll(async () => {
    folder = makeTemporaryFolder('backup')
    database = await startSystemPostgres('binFolder' in system ? system.binFolder : '')
    stack = await startTestStack({ embeddedDatabase: true, env: { BERTH_DATABASE_URL: database.url } })
  }, 60_000)
  afterAll(async () => {
    await stack?.stop()
    await database?.stop()
    removeFolder(folder)
  }, 60_000)

  test('a backup is made while images are pushed, and only what is new is copied by the next one', async () => {
    const traffic = startTraffic(stack, 4)
    try {
      await until('some images are pushed', () => traffic.acknowledged.length >= 20)
      expect(await run('berth-backup', folder)).toMatchObject({ code: 0 })
      const [first] = backups()
      await until('more are pushed', () => traffic.acknowledged.length >= 40)
      acknowledged = [...traffic.acknowledged]
      const second = await run('berth-backup', folder, '--keep', '1')
      expect(second).toEqual({ code: 0, said: expect.stringContaining('removed 1 older backups') })
      expect(backups()).not.toContain(first)
      expect(backups()).toHaveLength(1)
      await until('some are pushed after it', () => traffic.acknowledged.length >= acknowledged.length + 5)
    } finally {
      await traffic.stop()
    }
  }, 90_000)

  test('nothing is restored over a database that has something', async () => {
    const { code, said } = await run('berth-restore', folder)
    expect(code).toBe(1)
    expect(said).toMatch(/the database has the schemas auth, .*; stop Berth, then drop the database/)
  }, 30_000)

  test('all that was acknowledged before the backup is served after everything was wiped and restored, and is sound', async () => {
    await stack.kill('SIGTERM')
    for (const sql of ['drop database berth with (force)', 'create database berth owner berth'])
      await query(database.adminUrl, sql)
    for (const what of ['blobs', 'secrets.json']) rmSync(path.join(stack.home, what), { recursive: true })
    expect(await run('berth-restore', folder, '--verify')).toEqual({ code: 0, said: expect.stringContaining('sound') })
    const { code, said } = await run('berth-restore', folder)
    expect({ code, said }).toMatchObject({ code: 0 })
    const restored = /BERTH_RESTORED=(\S+)/.exec(said)?.[1]
    await stack.restart({ BERTH_RESTORED: restored })
    await expectServed(stack, acknowledged)
    const { body: scrub } = await stack.api('POST', '/store/scrub', {})
    expect(await stack.waitForTask(scrub.id)).toMatchObject({ state: 'completed', result: { missing: 0, rotten: 0 } })
    expect((await stack.api('GET', '/store/damage')).body.items).toEqual([])
  }, 90_000)

  test('where the database came back by itself, its blobs alone are put back', async () => {
    await stack.kill('SIGTERM')
    const blobs = path.join(stack.home, 'blobs')
    rmSync(blobs, { recursive: true })
    // As of an installation whose user is another one than whoever restores.
    if (process.geteuid?.() === 0) chownSync(stack.home, 12_345, 12_346)
    const { code, said } = await run('berth-restore', folder, '--blobs-only')
    expect({ code, said }).toEqual({ code: 0, said: expect.not.stringContaining('BERTH_RESTORED') })
    if (process.geteuid?.() === 0) {
      for (const file of [blobs, fileBelow(path.join(blobs, 'blobs', 'sha256'))])
        expect(statSync(file)).toMatchObject({ uid: 12_345, gid: 12_346 })
      chownSync(stack.home, 0, 0)
    }
    await stack.restart({})
    await expectServed(stack, acknowledged)
  }, 90_000)

  test('of two backups at once into one folder the second is refused, and names the first', async () => {
    const both = await Promise.all([run('berth-backup', folder), run('berth-backup', folder)])
    const [made, refused] = both.toSorted((a, b) => a.code - b.code)
    expect(made).toMatchObject({ code: 0 })
    expect(refused).toMatchObject({ code: 1, said: expect.stringMatching(/another backup \(pid \d+\) is being made/) })
    expect(await run('berth-restore', folder, '--verify')).toMatchObject({ code: 0 })
  }, 60_000)

  test('a program that is asked how it is used says so', async () => {
    expect(await run('berth-backup', '--help')).toEqual({ code: 0, said: expect.stringContaining('--keep N') })
  })

  test('a backup whose bytes changed where it lies is found out, and is not restored', async () => {
    await stack.kill('SIGTERM')
    const file = fileBelow(path.join(folder, 'blobs', 'blobs', 'sha256'))
    const bytes = readFileSync(file)
    bytes[0] = (bytes[0] as number) ^ 1
    writeFileSync(`${file}.other`, bytes)
    renameSync(`${file}.other`, file)
    expect((await run('berth-restore', folder, '--list')).said).toMatch(/^20\S+Z {2}\d+ objects, \d+ bytes, Berth \d/m)
    expect(await run('berth-restore', folder, '--verify')).toEqual({
      code: 1,
      said: expect.stringMatching(/1 objects of 20\S+ are missing or damaged, the first sha256:/),
    })
    const listed = await run('berth-restore', folder, 'no-such-backup')
    expect(listed.said).toMatch(/there is no backup "no-such-backup".*there are: 20/)
    for (const sql of ['drop database berth with (force)', 'create database berth owner berth'])
      await query(database.adminUrl, sql)
    rmSync(path.join(stack.home, 'blobs'), { recursive: true })
    const { code, said } = await run('berth-restore', folder)
    expect({ code, said }).toEqual({
      code: 1,
      said: expect.stringMatching(/the bytes have digest sha256:\w+, not sha256:/),
    })
    // Berth does not start on half of it: no table is there.
    const schemas = await query(database.url, `select nspname from pg_namespace where nspname = 'catalog'`)
    expect(schemas).toEqual([])
  }, 60_000)
})

function fileBelow(folder: string): string {
  const [entry] = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
  return path.join(entry?.parentPath ?? '', entry?.name ?? '')
}
