import { type ChildProcess, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import type { Logger } from '@berth/service'
import { forgetChild, recordChild } from './records.ts'

/** A server that is started again whenever it ends without being told to. */
export type KeptChild = {
  /** Of the process that runs now: another one after a restart. */
  readonly pid: number
  /** Ends it for good; resolves when the process is gone. */
  stop(): Promise<void>
}

export type KeepOptions = {
  home: string
  name: string
  /** What its command line contains. */
  program: string
  /** The signals to stop it with, from polite to last; each is given `patienceMs`. */
  stopSignals: readonly [NodeJS.Signals, ...NodeJS.Signals[]]
  patienceMs: number
  /** Starts it and resolves when it is ready; throws, with the process gone, when it does not become so or is to stop. */
  launch: (stop: AbortSignal) => Promise<ChildProcess>
  log?: Pick<Logger, 'info' | 'warn' | 'error'> | undefined
}

const firstDelayMs = 100
const longestDelayMs = 10_000
// One that ran this long had started well: the next failure is a new one.
const settledMs = 60_000

/** Starts a server and keeps it running until `stop`. Rejects when the first start fails. */
export async function keepRunning(options: KeepOptions): Promise<KeptChild> {
  const stopping = new AbortController()
  let child = await launchRecorded(options, stopping.signal)
  // Where no death signal can be set, an ordinary exit at least takes the server along.
  const atExit = () => child.kill(options.stopSignals[0])
  process.on('exit', atExit)

  const keep = async () => {
    for (let failures = 0; ; failures++) {
      const startedAt = Date.now()
      await ended(child)
      forgetEnded(options, child)
      if (stopping.signal.aborted) return
      if (Date.now() - startedAt > settledMs) failures = 0
      const { exitCode, signalCode } = child
      options.log?.warn('server ended unexpectedly', { server: options.name, exitCode, signal: signalCode })
      const next = await relaunch(options, failures, stopping.signal)
      if (!next) return
      child = next
      options.log?.info('server runs again', { server: options.name, serverPid: child.pid })
    }
  }
  const keeping = keep()
  keeping.catch((error: unknown) => options.log?.error('server is not kept running', { server: options.name, error }))

  return {
    get pid() {
      return child.pid as number
    },
    async stop() {
      stopping.abort()
      process.off('exit', atExit)
      await endChild(child, options)
      await keeping
    },
  }
}

async function relaunch(options: KeepOptions, failures: number, stop: AbortSignal): Promise<ChildProcess | undefined> {
  for (let tries = failures; ; tries++) {
    const delayMs = Math.min(firstDelayMs * 2 ** Math.min(tries, 10), longestDelayMs)
    await pause(delayMs, undefined, { signal: stop }).catch((error: unknown) => {
      if (!stop.aborted) throw error
    })
    if (stop.aborted) return undefined
    try {
      const child = await launchRecorded(options, stop)
      if (!stop.aborted) return child
      await endChild(child, options)
      forgetEnded(options, child)
      return undefined
    } catch (error) {
      if (stop.aborted) return undefined
      options.log?.error('server cannot be started again', { server: options.name, error })
    }
  }
}

async function launchRecorded(options: KeepOptions, stop: AbortSignal): Promise<ChildProcess> {
  const child = await options.launch(stop)
  const { home, name, program, stopSignals } = options
  try {
    recordChild(home, { name, pid: child.pid as number, program, stopSignal: stopSignals[0] })
  } catch (cause) {
    // Were we killed now, our successor would not know of it and could not take its place.
    await endChild(child, options)
    throw new Error(`${name} was ended, for it could not be written down in ${home}`, { cause })
  }
  return child
}

function forgetEnded({ home, name, log }: KeepOptions, child: ChildProcess): void {
  try {
    forgetChild(home, child.pid as number)
  } catch (error) {
    // The record of what has ended does no harm: its pid is never taken for ours again (records.ts).
    log?.warn('the end of a server could not be written down', { server: name, error })
  }
}

async function endChild(child: ChildProcess, { stopSignals, patienceMs }: KeepOptions): Promise<void> {
  for (const signal of [...stopSignals, 'SIGKILL' as const]) {
    if (hasEnded(child)) return
    child.kill(signal)
    await Promise.race([ended(child), pause(patienceMs, undefined, { ref: false })])
  }
}

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

export async function ended(child: ChildProcess): Promise<void> {
  if (!hasEnded(child)) await once(child, 'exit')
}

let canSetDeathSignal: boolean | undefined

/**
 * The command line that makes the kernel send `signal` to the program when we die, by whatever means; the plain command
 * where there is no setpriv (macOS, BusyBox). The pid stays that of the program.
 */
export function dyingWithUs(signal: 'INT' | 'TERM' | 'KILL', program: string, args: string[]): [string, string[]] {
  canSetDeathSignal ??=
    process.platform === 'linux' &&
    spawnSync('setpriv', ['--pdeathsig', signal, 'true'], { stdio: 'ignore' }).status === 0
  return canSetDeathSignal ? ['setpriv', ['--pdeathsig', signal, '--', program, ...args]] : [program, args]
}
