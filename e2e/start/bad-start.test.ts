import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { query } from '../berth/databases.ts'
import { processesOn } from '../berth/processes.ts'
import { make, repositoryPath } from '../berth/requests.ts'
import { environmentOf } from '../berth/stack.ts'
import { attemptStart, expectRefusal, standaloneMain } from '../berth/start-attempt.ts'
import { withBerth } from '../berth/with-berth.ts'
import { findProgram } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const password = 'correct horse battery'

describe('a start that cannot succeed says why and what to do, and damages nothing', () => {
  let folder: string
  const envOf = (home: string, env: NodeJS.ProcessEnv = {}) =>
    environmentOf({ home, password, options: { env: { BERTH_PORT: '0', ...env } } })
  const newHome = (name: string) => path.join(folder, name)

  beforeAll(() => {
    folder = makeTemporaryFolder('bad-start')
  })
  afterAll(() => {
    const left = processesOn(folder)
    removeFolder(folder)
    expect(left).toEqual([])
  })

  test('a busy port', async () => {
    const server = createServer().listen(0)
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const home = newHome('busy-port')
    const attempt = await attemptStart(envOf(home, { BERTH_PORT: String(port) }))
    server.close()
    expectRefusal(attempt, new RegExp(`port ${port} is in use`), /BERTH_PORT/)
    expect(existsSync(path.join(home, 'postgres'))).toBe(false)
  })

  test('settings that cannot be read: all of them in one message', async () => {
    const attempt = await attemptStart(
      envOf(newHome('settings'), { BERTH_PORT: 'web', BERTH_DATABASE_URL: 'mysql://db' }),
    )
    expectRefusal(attempt, /BERTH_PORT=web .*BERTH_DATABASE_URL/s, /environment/)
  })

  test('a variable that no part of Berth knows, with the name that it may have meant', async () => {
    const env = { BERTH_DATBASE_URL: 'postgresql://db', BERTH_LOGLEVEL: 'debug' }
    const attempt = await attemptStart(envOf(newHome('unknown'), env))
    expectRefusal(attempt, /BERTH_DATBASE_URL .*BERTH_DATABASE_URL.*BERTH_LOGLEVEL .*BERTH_LOG_LEVEL/s, /settings\.md/)
    expect(existsSync(newHome('unknown'))).toBe(false)
  })

  test('half of a bucket', async () => {
    const env = { BERTH_S3_BUCKET: 'images', BERTH_S3_ACCESS_KEY: 'key' }
    const attempt = await attemptStart(envOf(newHome('half'), env))
    expectRefusal(attempt, /BERTH_S3_BUCKET, BERTH_S3_ACCESS_KEY are set and BERTH_S3_ENDPOINT is not/, /directory/)
  })

  test('processes of one program that are to encrypt what they ask each other', async () => {
    const env = { BERTH_PROCESSES: 'true', BERTH_INTERNAL_TLS_CERT: '/tls.crt' }
    const attempt = await attemptStart(envOf(newHome('internal-tls'), env))
    expectRefusal(attempt, /BERTH_PROCESSES is true and BERTH_INTERNAL_TLS_… is set/, /take the one or the other away/)
  })

  test('a directory and a bucket', async () => {
    const s3 = {
      BERTH_S3_ENDPOINT: 'http://127.0.0.1:9',
      BERTH_S3_BUCKET: 'b',
      BERTH_S3_ACCESS_KEY: 'k',
      BERTH_S3_SECRET_KEY: 's',
    }
    const attempt = await attemptStart(envOf(newHome('both'), { ...s3, BERTH_BLOBS_DIR: newHome('blobs') }))
    expectRefusal(attempt, /BERTH_BLOBS_DIR and BERTH_S3_ENDPOINT are both set/, /take one of them away/)
  })

  test.each(['no-such-host.invalid', '203.0.113.9', 'not an address'])('%s to listen on', async (host) => {
    const attempt = await attemptStart(envOf(newHome('host'), { BERTH_HOST: host }))
    expectRefusal(attempt, /BERTH_HOST=.* is no address of this machine/, /network interface/)
  })

  test('a home below a file', async () => {
    const file = newHome('file')
    writeFileSync(file, 'mine')
    expectRefusal(await attemptStart(envOf(path.join(file, 'home'))), /cannot be written to/, /BERTH_HOME/)
    expect(readFileSync(file, 'utf8')).toBe('mine')
  })

  const other = otherUser()
  const asOther = other.why ? test.skip : test
  asOther(`a home that its user may not write to${other.why ? ` (${other.why})` : ''}`, async () => {
    chmodSync(folder, 0o755)
    const home = newHome('read-only')
    mkdirSync(home, { mode: 0o555 })
    expectRefusal(await attemptStart(envOf(home), other.before), /cannot be written to \(EACCES\)/, /BERTH_HOME/)
    expect(readdirSync(home)).toEqual([])
  })

  test('a home whose database is of another make, or not made by Berth', async () => {
    const cases = [
      { file: 'notes.txt', text: 'mine', what: /no PostgreSQL data directory/ },
      { file: 'PG_VERSION', text: '13\n', what: /made by PostgreSQL 13/ },
      { file: 'PG_VERSION', text: '18\n', what: /belongs to|not made by Berth/ },
    ]
    for (const [n, { file, text, what }] of cases.entries()) {
      const home = newHome(`foreign-${n}`)
      const place = path.join(home, 'postgres', 'data', file)
      mkdirSync(path.dirname(place), { recursive: true })
      writeFileSync(place, text)
      expectRefusal(await attemptStart(envOf(home)), what, /BERTH_HOME/)
      expect(readFileSync(place, 'utf8')).toBe(text)
      expect(readdirSync(path.dirname(place))).toEqual([file])
    }
  }, 60_000)

  test('a BERTH_DATABASE_URL where nothing listens, without telling its password', async () => {
    const env = { BERTH_DATABASE_URL: 'postgres://berth:top-secret@127.0.0.1:1/berth' }
    const attempt = await attemptStart(envOf(newHome('no-database'), env))
    expectRefusal(attempt, /127\.0\.0\.1:1/, /BERTH_DATABASE_URL/)
    expect(attempt.stderr).not.toContain('top-secret')
  }, 60_000)

  const endpoint = process.env.BERTH_TEST_S3_ENDPOINT
  const withS3 = endpoint ? test : test.skip
  withS3(
    `wrong S3 keys, without telling them${endpoint ? '' : ` (no S3: ${process.env.BERTH_TEST_NO_S3})`}`,
    async () => {
      const env = {
        BERTH_S3_ENDPOINT: endpoint,
        BERTH_S3_BUCKET: process.env.BERTH_TEST_S3_BUCKET,
        BERTH_S3_ACCESS_KEY: process.env.BERTH_TEST_S3_ACCESS_KEY,
        BERTH_S3_SECRET_KEY: 'not-the-secret',
      }
      const attempt = await attemptStart(envOf(newHome('wrong-keys'), env))
      expectRefusal(attempt, /blob store/, /BERTH_S3_ENDPOINT.*_SECRET_KEY/)
      expect(attempt.stderr).not.toContain('not-the-secret')
    },
    60_000,
  )
})

describe('a Berth with content', () => {
  const stack = withBerth({ own: true })
  const env = (more: NodeJS.ProcessEnv = {}) => {
    const { home, databaseUrl } = stack
    return environmentOf({
      home,
      password,
      options: { env: { BERTH_PORT: '0', ...more } },
      ...(databaseUrl ? { databaseUrl } : {}),
    })
  }
  beforeAll(async () => {
    await make(stack, '/repositories', { name: 'kept/app' })
  }, 60_000)

  test('refuses a second one on its home, and goes on', async () => {
    expectRefusal(await attemptStart(env()), new RegExp(`another Berth \\(pid ${stack.pid}\\)`), /BERTH_HOME/)
    expect((await stack.api('GET', repositoryPath('kept/app'))).status).toBe(200)
  })

  const tables = `
    select table_schema, table_name, column_name
    from information_schema.columns
    where table_schema in ('catalog', 'registry', 'sync')
    order by 1, 2, 3`

  test.each([
    {
      of: 'a newer release',
      migration: '20991231000000_from_the_future',
      reason: /newer release.*catalog.*20991231000000_from_the_future/,
      remedy: /newer release/,
    },
    {
      of: 'before the first release',
      migration: '20261122000000_content',
      reason: /schema "catalog".* this was made before the first release/,
      remedy: /set another BERTH_HOME or database, and an empty store/,
    },
  ])(
    'refuses a database of $of and leaves it as it is; without that part it starts again',
    async (stranger) => {
      const databaseUrl = stack.databaseUrl as string
      await stack.kill('SIGTERM')
      await query(
        databaseUrl,
        `insert into catalog._prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count) values ('f', 'f', $1, now(), 1)`,
        [stranger.migration],
      )
      const before = await query(databaseUrl, tables)
      expectRefusal(await attemptStart(env()), stranger.reason, stranger.remedy)
      expect(await query(databaseUrl, tables)).toEqual(before)
      await query(databaseUrl, 'delete from catalog._prisma_migrations where migration_name = $1', [stranger.migration])
      await stack.restart()
      expect((await stack.api('GET', repositoryPath('kept/app'))).status).toBe(200)
    },
    60_000,
  )
})

/** How to run a program as another user, or why that cannot be done here. */
function otherUser(): { before: string[]; why?: string } {
  if (process.geteuid?.() !== 0) return { before: [] }
  const setpriv = findProgram('setpriv')
  if (!setpriv) return { before: [], why: 'setpriv not installed' }
  const before = [setpriv, '--reuid=65534', '--regid=65534', '--clear-groups', '--']
  // Twice, as the start itself does: only the second time does a program begin without the rights of root.
  const sees = [
    ...before.slice(1),
    setpriv,
    '--',
    process.execPath,
    '-e',
    `require('fs').accessSync(${JSON.stringify(standaloneMain)})`,
  ]
  const { status } = spawnSync(setpriv, sees, { stdio: 'ignore' })
  return status === 0 ? { before } : { before, why: 'another user cannot read this checkout or run this node' }
}
