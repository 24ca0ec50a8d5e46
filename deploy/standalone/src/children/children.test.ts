import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { until } from '@berth/service/testing'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { writeDurably } from './durable-file.ts'
import { lockHome } from './home-lock.ts'
import { startOf } from './identity.ts'
import { keepRunning } from './keep-running.ts'
import { recordChild, stopLeftovers } from './records.ts'

let home: string
const started: ChildProcess[] = []

beforeEach(() => {
  home = mkdtempSync(path.join(os.tmpdir(), `berth-test-${process.pid}-children-`))
})

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
  rmSync(home, { recursive: true })
})

function startSleep(): ChildProcess & { pid: number } {
  const child = spawn('sleep', ['600'])
  started.push(child)
  return child as ChildProcess & { pid: number }
}

test('a recorded child of a killed predecessor is stopped, once', async () => {
  const child = startSleep()
  recordChild(home, { name: 'sleeper', pid: child.pid, program: 'sleep', stopSignal: 'SIGTERM' })
  const end = once(child, 'exit')
  expect(await stopLeftovers(home)).toEqual(['sleeper'])
  expect(await end).toEqual([null, 'SIGTERM'])
  expect(await stopLeftovers(home)).toEqual([])
})

test('a process that got the pid of a recorded child later is not touched', async () => {
  const innocent = startSleep()
  const record = {
    name: 'sleeper',
    pid: innocent.pid,
    program: 'sleep',
    stopSignal: 'SIGTERM',
    start: 'an earlier time',
  }
  writeFileSync(path.join(home, 'children.json'), JSON.stringify({ children: [record] }))
  expect(await stopLeftovers(home)).toEqual([])
  expect(startOf(innocent.pid)).toBeDefined()
})

test('a process of another program is not touched though its pid and start time are recorded', async () => {
  const innocent = startSleep()
  recordChild(home, { name: 'postgres', pid: innocent.pid, program: 'postgres', stopSignal: 'SIGINT' })
  expect(await stopLeftovers(home)).toEqual([])
  expect(startOf(innocent.pid)).toBeDefined()
})

test('a record cut short by a crash of the machine does not stop the start', async () => {
  writeFileSync(path.join(home, 'children.json'), '{"chil')
  expect(await stopLeftovers(home)).toEqual([])
})

test('a server that cannot be written down is not left running, and is tried again until it can', async () => {
  const kept = await keepRunning({
    home,
    name: 'sleeper',
    program: 'sleep',
    stopSignals: ['SIGTERM'],
    patienceMs: 1_000,
    launch: async () => startSleep(),
  })
  const [first] = started
  rmSync(home, { recursive: true })
  writeFileSync(home, 'where a folder was')
  first?.kill('SIGKILL')
  await until(async () => started.length >= 3)
  // Each one that could not be written down has ended before the next one began.
  expect(startOf(started[1]?.pid as number)).toBeUndefined()
  rmSync(home)
  mkdirSync(home)
  await until(async () => kept.pid !== first?.pid && startOf(kept.pid) !== undefined)
  expect(readFileSync(path.join(home, 'children.json'), 'utf8')).toContain(String(kept.pid))
  await kept.stop()
})

test('a second process on one home is refused and told the pid of the first', async () => {
  const holder = holdInAnotherProcess()
  await once(holder.stdout, 'data')
  expect(() => lockHome(home)).toThrow(`another Berth (pid ${holder.pid}) is using ${home}`)
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  lockHome(home).release()
})

function holdInAnotherProcess() {
  const lockModule = new URL('./home-lock.ts', import.meta.url).href
  const code = `const { lockHome } = await import(${JSON.stringify(lockModule)})
    lockHome(${JSON.stringify(home)}); console.log('held'); process.stdin.resume().on('end', () => process.exit())`
  const holder = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['pipe', 'pipe', 'inherit'] })
  started.push(holder)
  return holder
}

test('the lock of a pid that now belongs to a stranger is taken over', () => {
  writeFileSync(path.join(home, 'lock'), `${process.ppid} an earlier time\n`)
  const lock = lockHome(home)
  expect(readFileSync(path.join(home, 'lock'), 'utf8')).toContain(String(process.pid))
  lock.release()
  expect(() => readFileSync(path.join(home, 'lock'))).toThrow('ENOENT')
})

test('a home that cannot be written to is refused with the remedy', () => {
  const under = path.join(home, 'a-file')
  writeFileSync(under, '')
  expect(() => lockHome(path.join(under, 'home'))).toThrow('cannot be written to (ENOTDIR)')
})

test('a home is closed to other users, one that was open before too', () => {
  for (const folder of [path.join(home, 'new'), path.join(home, 'old')]) {
    if (folder.endsWith('old')) mkdirSync(folder, { mode: 0o755 })
    lockHome(folder).release()
    expect(statSync(folder).mode & 0o777).toBe(0o700)
  }
})

test('a file that is written durably is there whole, for its owner alone', () => {
  const file = path.join(home, 'key')
  writeDurably(file, 'first')
  writeDurably(file, 'second')
  expect(readFileSync(file, 'utf8')).toBe('second')
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readdirSync(home)).toEqual(['key'])
})
