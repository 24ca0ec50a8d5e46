import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { get } from 'node:http'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { dyingWithUs, ended, hasEnded, lastLines, withLogFile } from '@berth/standalone/children'
import { makeTemporaryFolder, removeFolder } from './temporary-folder.ts'

/** A server that runs for tests, in a folder of its own that goes with it. */
export type ServerProcess = {
  pid: number
  folder: string
  /** All that it has written so far. */
  log(): string
  stop(): Promise<void>
}

export type ServerProcessOptions = {
  name: string
  program: string
  /** The arguments, once its folder is known; files it needs may be written there. */
  args: (folder: string) => string[]
  env?: NodeJS.ProcessEnv
  isReady: () => Promise<boolean>
  /** 20 s unless set. */
  readyWithinMs?: number
}

/** Starts a server and waits until it is ready; it ends with us, however we end. Throws with its last lines. */
export async function startServerProcess(options: ServerProcessOptions): Promise<ServerProcess> {
  const folder = makeTemporaryFolder(options.name)
  const logFile = path.join(folder, 'server.log')
  const [command, args] = dyingWithUs('KILL', options.program, options.args(folder))
  const env = { ...process.env, ...options.env }
  const child = withLogFile(logFile, (log) => spawn(command, args, { cwd: folder, env, stdio: ['ignore', log, log] }))
  const failures: Error[] = []
  child.on('error', (error) => failures.push(error))
  const atExit = () => child.kill('SIGKILL')
  process.on('exit', atExit)
  const stop = async () => {
    process.off('exit', atExit)
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), 3000)
    if (child.pid !== undefined) await ended(child)
    clearTimeout(late)
    removeFolder(folder)
  }
  const until = Date.now() + (options.readyWithinMs ?? 20_000)
  while (failures.length === 0 && !hasEnded(child) && Date.now() < until) {
    if (await options.isReady())
      return { pid: child.pid as number, folder, log: () => readFileSync(logFile, 'utf8'), stop }
    await pause(25)
  }
  const why = failures[0]?.message ?? lastLines(logFile, 10)
  await stop()
  throw new Error(`${options.name} (${options.program}) does not become ready: ${why}`)
}

/** Whether a GET of this URL is answered with one of these statuses. */
export async function answers(url: string, ...statuses: number[]): Promise<boolean> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2000) })
    await answer.body?.cancel()
    return statuses.includes(answer.status)
  } catch {
    // Not listening yet.
    return false
  }
}

/** Whether a GET on a unix socket is answered with 200. */
export function answersSocket(socketPath: string, path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ socketPath, path, timeout: 2000 }, (answer) => {
      answer.resume()
      resolve(answer.statusCode === 200)
    })
    request.on('timeout', () => request.destroy())
    // Not listening yet.
    request.on('error', () => resolve(false))
  })
}
