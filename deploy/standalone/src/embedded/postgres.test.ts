import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Client } from 'pg'
import { startOf } from '../children/identity.ts'
import { type EmbeddedPostgres, startPostgres } from './postgres.ts'
import { processesOn } from './postgres-predecessor.ts'

let home: string
let running: EmbeddedPostgres | undefined
let other: ChildProcess | undefined

// mkdtemp's 0700 is, for root's PostgreSQL, a home that its user cannot enter, like a clone under /root.
beforeEach(() => {
  home = mkdtempSync(path.join(os.tmpdir(), `berth-test-${process.pid}-postgres-`))
})

afterEach(async () => {
  await running?.stop()
  running = undefined
  other?.kill('SIGKILL')
  other = undefined
  rmSync(home, { recursive: true })
})

async function start(): Promise<string> {
  running = await startPostgres({ home, durable: false })
  return running.url
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url })
  // The server ending under a connection is what some of these tests are about.
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat()
  } finally {
    await client.end()
  }
}

/** Starts PostgreSQL on the home in another process of ours, and answers its pid when that one has been killed. */
async function startInProcessThatIsKilled(env: NodeJS.ProcessEnv): Promise<number> {
  const code = `const { startPostgres } = await import(${JSON.stringify(new URL('./postgres.ts', import.meta.url).href)})
    const postgres = await startPostgres({ home: ${JSON.stringify(home)} })
    const { Client } = await import(${JSON.stringify(import.meta.resolve('pg'))})
    const client = new Client({ connectionString: postgres.url })
    await client.connect()
    await client.query('CREATE TABLE kept AS SELECT 42 AS answer')
    console.log(postgres.pid)
    process.stdin.resume().on('end', () => process.exit())`
  const args = ['--input-type=module', '-e', code]
  const predecessor = spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
  other = predecessor
  const [line] = (await once(predecessor.stdout, 'data')) as [Buffer]
  predecessor.kill('SIGKILL')
  await once(predecessor, 'exit')
  return Number(line.toString())
}

async function until(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 20_000; Date.now() < end && !holds(); ) await pause(20)
}

test('what was committed is there at the next start, under the same password', async () => {
  const first = await start()
  await query(first, 'CREATE TABLE kept AS SELECT 42 AS answer')
  await running?.stop()
  const second = await start()
  expect(new URL(second).password).toBe(new URL(first).password)
  expect(await query(second, 'SELECT answer FROM kept')).toEqual([42])
  expect(statSync(path.join(home, 'postgres', 'password')).mode & 0o077).toBe(0)
})

const onLinux = process.platform === 'linux' ? test : test.skip

/** Logs in with a wrong password, and answers the addresses and folders in which the server of this URL listens. */
async function listeningOf(url: string): Promise<unknown[]> {
  const wrong = new URL(url)
  wrong.password = 'guess'
  await expect(query(wrong.href, 'SELECT 1')).rejects.toThrow('password authentication failed')
  return [...(await query(url, 'SHOW listen_addresses')), ...(await query(url, 'SHOW unix_socket_directories'))]
}

onLinux('nobody gets in without the password, and it listens at a socket that its user alone can reach', async () => {
  const url = await start()
  expect(await listeningOf(url)).toEqual(['', '../socket'])
  const folder = path.join(home, 'postgres', 'socket')
  expect(new URL(url).searchParams.get('host')).toBe(folder)
  const { mode, uid } = statSync(folder)
  expect([mode & 0o777, uid]).toEqual([0o700, statSync(path.join(home, 'postgres', 'data')).uid])
})

onLinux('in a home whose path is too long for a socket it listens on 127.0.0.1, under a password as well', async () => {
  home = path.join(home, 'x'.repeat(80))
  expect(await listeningOf(await start())).toEqual(['127.0.0.1', ''])
  await running?.stop()
  home = path.dirname(home)
})

onLinux('data that were moved to another disk, with a link in their place, are served as before', async () => {
  await query(await start(), 'CREATE TABLE kept AS SELECT 42 AS answer')
  await running?.stop()
  const data = path.join(home, 'postgres', 'data')
  const elsewhere = path.join(home, 'elsewhere')
  mkdirSync(elsewhere)
  chmodSync(elsewhere, 0o755)
  renameSync(data, path.join(elsewhere, 'data'))
  symlinkSync(path.join(elsewhere, 'data'), data)
  const url = await start()
  expect(await query(url, 'SELECT answer FROM kept')).toEqual([42])
  expect(await listeningOf(url)).toEqual(['127.0.0.1', ''])
})

onLinux(
  'a socket that a killed server left, with a pid in its lock that a stranger has, does not block the start',
  async () => {
    await start()
    await running?.stop()
    const { uid, gid } = statSync(path.join(home, 'postgres', 'data'))
    const stranger = spawn('sleep', ['600'], { uid, gid, cwd: '/' })
    other = stranger
    const socket = path.join(home, 'postgres', 'socket', '.s.PGSQL.5432')
    writeFileSync(`${socket}.lock`, `${stranger.pid}\n/elsewhere\n1\n5432\n\n`)
    writeFileSync(socket, '')
    expect(await query(await start(), 'SELECT 1')).toEqual([1])
    expect(startOf(stranger.pid as number)).toBeDefined()
  },
)

test('without options it is durable', async () => {
  running = await startPostgres({ home })
  expect(await query(running.url, 'SHOW fsync')).toEqual(['on'])
})

test('killed with us it ends by itself, and the next start has what was committed', async () => {
  await startInProcessThatIsKilled(process.env)
  expect(await query(await start(), 'SELECT answer FROM kept')).toEqual([42])
})

test('a predecessor that outlived its parent is stopped, and the next start has what was committed', async () => {
  // Without setpriv on PATH no death signal is set, as on macOS.
  const pid = await startInProcessThatIsKilled({ ...process.env, PATH: '/nonexistent' })
  expect(startOf(pid)).toBeDefined()
  const url = await start()
  expect(startOf(pid)).toBeUndefined()
  expect(await query(url, 'SELECT answer FROM kept')).toEqual([42])
})

test('backends whose postmaster was killed do not keep the next one from starting', async () => {
  const pid = await startInProcessThatIsKilled({ ...process.env, PATH: '/nonexistent' })
  process.kill(pid, 'SIGKILL')
  expect(await query(await start(), 'SELECT answer FROM kept')).toEqual([42])
})

test('a stranger who got the pid in postmaster.pid is not touched and does not block the start', async () => {
  await start()
  await running?.stop()
  const data = path.join(home, 'postgres', 'data')
  const { uid, gid } = statSync(data)
  const stranger = spawn('sleep', ['600'], { uid, gid, cwd: '/' })
  other = stranger
  writeFileSync(path.join(data, 'postmaster.pid'), `${stranger.pid}\n${data}\n1\n5432\n\n127.0.0.1\n`)
  const url = await start()
  expect(await query(url, 'SELECT 1')).toEqual([1])
  expect(startOf(stranger.pid as number)).toBeDefined()
})

test('killed under us it is started again at the same address', async () => {
  const url = await start()
  const killed = running?.pid as number
  process.kill(killed, 'SIGKILL')
  await until(() => running?.pid !== killed)
  expect(await query(url, 'SELECT 1')).toEqual([1])
  expect(running?.pid).not.toBe(killed)
})

test('stopping takes little time and leaves no process', async () => {
  await query(await start(), 'SELECT 1')
  const before = Date.now()
  await running?.stop()
  expect(Date.now() - before).toBeLessThan(5000)
  expect(processesOn(path.join(home, 'postgres', 'data'))).toEqual([])
})

test('the data of another major version is refused by name and left as it is', async () => {
  await start()
  await running?.stop()
  const versionFile = path.join(home, 'postgres', 'data', 'PG_VERSION')
  writeFileSync(versionFile, '15\n')
  await expect(start()).rejects.toThrow('was made by PostgreSQL 15, and this Berth carries PostgreSQL 18')
  expect(readFileSync(versionFile, 'utf8')).toBe('15\n')
})

test('a directory that holds something else is refused', async () => {
  const data = path.join(home, 'postgres', 'data')
  mkdirSync(data, { recursive: true })
  writeFileSync(path.join(data, 'thesis.tex'), '')
  await expect(start()).rejects.toThrow('holds something that is no PostgreSQL data directory')
})

test('a PostgreSQL that Berth did not make is refused', async () => {
  await start()
  await running?.stop()
  rmSync(path.join(home, 'postgres', 'password'))
  await expect(start()).rejects.toThrow('was not made by Berth')
})

test('a home that cannot be written to is refused at once', async () => {
  const file = path.join(home, 'file')
  writeFileSync(file, '')
  await expect(startPostgres({ home: path.join(file, 'home') })).rejects.toThrow('cannot be kept in')
})
