import { closeSync, constants, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Logger } from '@berth/service'
import { commandOf, startOf } from './identity.ts'

/** A process that we started for a BERTH_HOME, told apart from later owners of its pid by when it started. */
export type ChildRecord = {
  name: string
  pid: number
  start: string
  /** What its command line contains, such as `postgres`. */
  program: string
  stopSignal: NodeJS.Signals
}

const patienceMs = 10_000
// More than eight servers with the longest paths of their programs need.
const recordsBytes = 16 << 10
const lastPatienceMs = 3000

/** Writes down a child that just started, so that a successor can stop it should we be killed. */
export function recordChild(home: string, child: Omit<ChildRecord, 'start'>): void {
  const start = startOf(child.pid)
  // Dead already: the program that started it sees that itself.
  if (start === undefined) return
  const others = readRecords(home).filter((record) => record.pid !== child.pid)
  writeRecords(home, [...others, { ...child, start }])
}

/** Strikes out a child that has ended. */
export function forgetChild(home: string, pid: number): void {
  const records = readRecords(home)
  const left = records.filter((record) => record.pid !== pid)
  if (left.length < records.length) writeRecords(home, left)
}

/**
 * Stops what a killed predecessor on this home left running, and answers the names. A process is stopped only when pid,
 * start time and command line are those written down: pids are used again. Call it while holding the home's lock.
 */
export async function stopLeftovers(home: string, log?: Pick<Logger, 'warn'>): Promise<string[]> {
  const living = readRecords(home).filter(isStillOurs)
  await Promise.all(living.map(stopLeftover))
  writeRecords(home, [])
  for (const { name, pid } of living)
    log?.warn('leftover of a killed predecessor stopped', { child: name, childPid: pid })
  return living.map((record) => record.name)
}

function isStillOurs(record: ChildRecord): boolean {
  return startOf(record.pid) === record.start && (commandOf(record.pid)?.includes(record.program) ?? false)
}

async function stopLeftover(record: ChildRecord): Promise<void> {
  process.kill(record.pid, record.stopSignal)
  if (await hasEnded(record, patienceMs)) return
  // PostgreSQL's immediate shutdown: it ends its children too, which SIGKILL would not. For the others it is an end.
  process.kill(record.pid, 'SIGQUIT')
  if (await hasEnded(record, lastPatienceMs)) return
  process.kill(record.pid, 'SIGKILL')
  await hasEnded(record, lastPatienceMs)
}

// It is no child of this process, which is therefore not told of its end.
async function hasEnded(record: ChildRecord, withinMs: number): Promise<boolean> {
  for (const until = Date.now() + withinMs; Date.now() < until; await pause(20)) {
    if (startOf(record.pid) !== record.start) return true
  }
  return startOf(record.pid) !== record.start
}

function recordsFile(home: string): string {
  return path.join(home, 'children.json')
}

function readRecords(home: string): ChildRecord[] {
  try {
    return (JSON.parse(readFileSync(recordsFile(home), 'utf8')) as { children: ChildRecord[] }).children
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    // Cut short by a crash of the machine, after which none of them lives.
    if (error instanceof SyntaxError) return []
    throw new Error(`cannot read ${recordsFile(home)}`, { cause: error })
  }
}

/**
 * Writes over what is there, at a length that does not change: a full disk has the room already. It is torn only by a crash
 * of the machine, after which none of them lives.
 */
function writeRecords(home: string, children: ChildRecord[]): void {
  mkdirSync(home, { recursive: true })
  const text = Buffer.from(`${JSON.stringify({ children }, undefined, 2)}\n`)
  const padded = Buffer.alloc(Math.max(recordsBytes, text.length), ' ')
  text.copy(padded)
  const file = openSync(recordsFile(home), constants.O_RDWR | constants.O_CREAT, 0o600)
  try {
    const written = writeSync(file, padded, 0, padded.length, 0)
    if (written < padded.length) throw new Error(`no room for ${recordsFile(home)}`)
  } finally {
    closeSync(file)
  }
}
