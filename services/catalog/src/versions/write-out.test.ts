import { commandsOf, type RegistryCommands } from '@berth/commands'
import { createInternalClient, createLogger, sqlState } from '@berth/service'
import { privateKeyOf, until } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { contentOf } from '../testing/catalog.fixture.ts'
import { endLeases, pushImage, runCollector, startYard, storedDigests, type Yard } from '../testing/collect.fixture.ts'
import { expectWrittenOut, rolledBack } from '../testing/large-rollback.fixture.ts'
import { deleteVersion } from './drop-versions.ts'
import { lockRepository } from './repository-lock.ts'
import { rollBack } from './rollback.ts'
import { letGo, startRollbackWriter, unwrittenRepositories, writeOutRollback } from './rollback-writer.ts'

let yard: Yard
beforeAll(async () => {
  yard = await startYard()
})
afterAll(() => yard?.stop())

const actor = { id: null, name: 'ana' }
const numbersOf = async (id: string) =>
  (
    await yard.db.query<{ number: number }>('select number from version where repository_id = $1 order by number', [id])
  ).map(({ number }) => number)

test('a rollback of much is the content it names before and after its intervals are written', async () => {
  const { name, id, wanted, last } = await rolledBack(yard)
  const { db } = yard
  expect(await contentOf(db, name)).toEqual(wanted)
  const [row] = await db.query<{ present: object }>(
    'select present from version where repository_id = $1 and number = 4',
    [id],
  )
  expect(row?.present).toEqual({ tags: 2, manifests: 1, blobs: 1, signatures: 0 })
  expect(await writeOutRollback(db, id)).toBeDefined()
  await expectWrittenOut(yard, id, name, wanted)
  expect(await contentOf(db, name, 3)).toEqual(last)
  expect(await writeOutRollback(db, id)).toBeUndefined()
})

test('killed or stopped while the intervals are written, it is as it was, and is found again', async () => {
  const { name, id, wanted } = await rolledBack(yard)
  const { db } = yard
  const killed = new Error('killed')
  const dying = db.transaction(async (sql) => {
    await lockRepository(sql, id)
    throw killed
  })
  await expect(dying).rejects.toBe(killed)
  expect(await unwrittenRepositories(db)).toContain(id)
  expect(await contentOf(db, name)).toEqual(wanted)
  const stopped = new AbortController()
  await db.transaction(async (sql) => {
    await sql.query('lock table tag_interval in share mode')
    const settling = writeOutRollback(db, id, stopped.signal)
    await until(
      async () =>
        (await sql.query(`select from pg_locks where not granted and relation = 'tag_interval'::regclass`)).length > 0,
    )
    stopped.abort()
    await expect(settling).rejects.toMatchObject({ cause: { code: '57014' } })
  })
  expect(await writeOutRollback(db, id, stopped.signal)).toBeUndefined()
  expect(await unwrittenRepositories(db)).toContain(id)
  await writeOutRollback(db, id)
  await expectWrittenOut(yard, id, name, wanted)
})

test('who settled it and was undone keeps nobody from settling it at once', async () => {
  const { name, id, wanted } = await rolledBack(yard)
  const { db } = yard
  let settling: Promise<unknown> | undefined
  const tooLate = new Error('too late')
  const isWaitedFor = 'select from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid))'
  const pushing = db.transaction(async (sql) => {
    await lockRepository(sql, id)
    settling = writeOutRollback(db, id)
    await Promise.race([settling, until(async () => (await sql.query(isWaitedFor)).length > 0)])
    throw tooLate
  })
  await expect(pushing).rejects.toBe(tooLate)
  expect(await settling).toBeDefined()
  await expectWrittenOut(yard, id, name, wanted)
})

test('nothing comes on top of it before it is settled, whoever tries', async () => {
  const { db } = yard
  const { id } = await rolledBack(yard)
  const code = (text: string) => db.query(text, [id]).then(() => 'done', sqlState)
  expect(await code('update repository set latest_version = latest_version + 1 where id = $1')).toBe('40001')
  expect(await code('update repository set loose_since = now() where id = $1')).toBe('23514')
  expect(await code('delete from version where repository_id = $1 and number = 1')).toBe('23503')
  await writeOutRollback(db, id)
  expect(await code('delete from version where repository_id = $1 and number = 1')).toBe('done')
})

test('a push to it finds it settled, and takes its place behind it', async () => {
  const { name, id, wanted } = await rolledBack(yard)
  const digest = await pushImage(yard, name, { name: `${name} more` }, ['d'])
  expect(await contentOf(yard.db, name, 4)).toEqual(wanted)
  expect((await contentOf(yard.db, name)).tags).toEqual({ ...wanted.tags, d: digest })
  expect(await unwrittenRepositories(yard.db)).not.toContain(id)
})

test('a rollback of a rollback that is not settled goes back to either', async () => {
  const { name, id, wanted, last } = await rolledBack(yard)
  const { db } = yard
  expect(await rollBack(db, { repositoryId: id, version: 3, actor }, 0)).toMatchObject({
    number: 5,
    isWrittenOut: false,
  })
  expect(await contentOf(db, name)).toEqual(last)
  expect(await contentOf(db, name, 4)).toEqual(wanted)
  expect(await rollBack(db, { repositoryId: id, version: 4, actor }, 0)).toMatchObject({
    number: 6,
    isWrittenOut: false,
  })
  await writeOutRollback(db, id)
  await expectWrittenOut(yard, id, name, wanted)
  for (const version of [1, 4]) expect(await contentOf(db, name, version)).toEqual(wanted)
  for (const version of [3, 5]) expect(await contentOf(db, name, version)).toEqual(last)
  expect(await rollBack(db, { repositoryId: id, version: 1, actor }, 0)).toMatchObject({ number: 6, created: false })
})

test('the version whose content it has can be deleted at once, and goes last of those that retainVersions lets go', async () => {
  const { db } = yard
  const deleted = await rolledBack(yard)
  await deleteVersion(db, { repositoryId: deleted.id, number: 1, actor })
  await expectWrittenOut(yard, deleted.id, deleted.name, deleted.wanted)
  const retained = await rolledBack(yard)
  await db.query('update repository set retain_versions = 1 where id = $1', [retained.id])
  for (const tag of ['d', 'e']) await pushImage(yard, retained.name, { name: tag }, [tag])
  const numbers = () => numbersOf(retained.id)
  // Somebody who pulls may have been sent there a moment ago.
  expect(await numbers()).toEqual([1, 6])
  await letGo(db, retained.id, async () => expect(await numbers()).toEqual([1, 6]))
  expect(await numbers()).toEqual([6])
})

test('the version whose content it has stays when it is gone back to again while it is let go', async () => {
  const { db } = yard
  const { name, id, wanted } = await rolledBack(yard)
  await db.query('update repository set retain_versions = 1 where id = $1', [id])
  await pushImage(yard, name, { name: 'between' }, ['d'])
  await letGo(db, id, async () => {
    await rollBack(db, { repositoryId: id, version: 1, actor }, 0)
  })
  await expectWrittenOut(yard, id, name, wanted)
  expect(await numbersOf(id)).toEqual([1, 6])
  await letGo(db, id, async () => {})
  expect(await numbersOf(id)).toEqual([6])
})

test('the collector takes nothing of it, before and after; and all of it with the repository', async () => {
  const { db } = yard
  await endLeases(yard)
  await runCollector(yard, { thorough: true })
  await runCollector(yard, { thorough: true })
  const others = await storedDigests(yard)
  const { name, id, old, recent, wanted } = await rolledBack(yard)
  const held = [old.digest, old.blob, recent.digest, recent.blob]
  const collectTwice = async () => {
    await endLeases(yard)
    await runCollector(yard, { thorough: true })
    await runCollector(yard, { thorough: true })
  }
  await collectTwice()
  expect(await storedDigests(yard)).toEqual([...others, ...held].sort())
  await writeOutRollback(db, id)
  await deleteVersion(db, { repositoryId: id, number: 3, actor })
  await deleteVersion(db, { repositoryId: id, number: 1, actor })
  await collectTwice()
  expect(await storedDigests(yard)).toEqual([...others, old.digest, old.blob].sort())
  await expectWrittenOut(yard, id, name, wanted)
  await rollBack(db, { repositoryId: id, version: 0, actor }, 0)
  expect(await unwrittenRepositories(db)).toContain(id)
  await db.query('delete from distribution where repository_id = $1', [id])
  await db.query('delete from repository where id = $1', [id])
  await collectTwice()
  expect(await storedDigests(yard)).toEqual(others)
})

test('the loop settles what it can while registry is away, and says of which repositories it did not hear', async () => {
  const { db } = yard
  const some = [await rolledBack(yard), await rolledBack(yard)]
  const warned = Promise.withResolvers<unknown>()
  const log = { ...createLogger({ service: 'catalog', silent: true }) }
  log.warn = (_message, fields) => warned.resolve(fields?.error)
  const away = createInternalClient({
    baseUrl: 'http://127.0.0.1:1',
    from: 'catalog',
    to: 'registry',
    privateKey: privateKeyOf('catalog'),
  })
  const registry: Parameters<typeof startRollbackWriter>[0]['registry'] = {
    ...commandsOf<RegistryCommands>(away),
    call: (command, body) => commandsOf<RegistryCommands>(away).call(command, body, { timeoutMs: 1 }),
  }
  const settling = startRollbackWriter({ db, registry, log })
  const error = (await warned.promise) as Error
  await settling.stop()
  await away.close()
  for (const { id, name, wanted } of some) {
    expect(error.message).toContain(id)
    await expectWrittenOut(yard, id, name, wanted)
  }
  expect(error.cause).toMatchObject({ code: 'service_unavailable' })
})
