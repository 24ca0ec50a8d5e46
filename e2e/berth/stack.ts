import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { programOf } from '@berth/service/testing'
import { dyingWithUs, ended, hasEnded } from '@berth/standalone/children'
import type { S3Place } from '../servers/s3-place.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { askBerth, type Berth } from './berth.ts'
import { createDatabase, dropDatabase } from './databases.ts'
import { processesOn, until } from './processes.ts'

const readyWithinMs = 60_000
const stoppedWithinMs = 15_000

export type StackOptions = {
  /** Added to the environment of the program; undefined takes a variable away. */
  env?: NodeJS.ProcessEnv
  /**
   * The database of its own that Berth brings, which takes a second or more to make and waits for the disk. Else a fresh one
   * on the server that the tests share, where there is one; it is dropped at the end.
   */
  embeddedDatabase?: boolean
  /** In a process group of its own, with the servers that it starts, so that `killGroup` ends all of them at once. */
  ownGroup?: boolean
  /** Real servers instead of the embedded ones. */
  external?: { natsUrl?: string; s3?: S3Place }
}

type Ended = { code: number | null; signal: NodeJS.Signals | null; durationMs: number }

/** A Berth of one test file or one test alone, which may be killed and started again. */
export type TestStack = Berth & {
  /** How long the last start took until the line `berth is ready`. */
  readonly startMs: number
  /** Sends a signal and waits for the end of the program. */
  kill(signal: NodeJS.Signals): Promise<Ended>
  /** Ends the program and all that it has started by SIGKILL at once, as a power cut would. For a stack with `ownGroup`. */
  killGroup(): Promise<Ended>
  /** Starts the program again on the same home and port, after `kill` or after ending it. */
  restart(env?: NodeJS.ProcessEnv): Promise<void>
  /** Ends all and removes the folder and the database. */
  stop(): Promise<void>
}

type Run = { child: ChildProcess; url: string; port: number; startMs: number }

/** Starts Berth as a user does, and waits until it is ready. Needs BERTH_NATS_SERVER, as `npm test` sets it. */
export async function startTestStack(options: StackOptions = {}): Promise<TestStack> {
  const folder = makeTemporaryFolder('stack')
  const home = path.join(folder, 'home')
  const password = 'correct horse battery'
  const shared = options.embeddedDatabase ? undefined : process.env.BERTH_TEST_DATABASE_URL
  const database = shared ? await createDatabase(shared) : undefined
  const environment = environmentOf({ home, password, options, ...(database ? { databaseUrl: database } : {}) })
  const output = path.join(folder, 'output')
  writeFileSync(output, '')
  let isOver = false
  // Last words may still come out of the pipe when the program is gone, and its folder with it.
  const write = (text: string) => {
    if (!isOver) appendFileSync(output, text)
  }

  const cleanUp = async () => {
    await until('the servers of a stack end', () => processesOn(folder).length === 0, 20_000)
    isOver = true
    removeFolder(folder)
    if (database) await dropDatabase(database)
  }
  let run: Run
  try {
    run = await startProgram({ ...environment, BERTH_PORT: '0' }, write, options.ownGroup)
  } catch (error) {
    await cleanUp()
    throw error
  }
  const kill = (signal: NodeJS.Signals) => endProgram(run.child, signal)
  const stack: TestStack = {
    get url() {
      return run.url
    },
    get host() {
      return `localhost:${run.port}`
    },
    get port() {
      return run.port
    },
    get pid() {
      return run.child.pid as number
    },
    get startMs() {
      return run.startMs
    },
    home,
    user: 'admin',
    password,
    databaseUrl: database,
    output,
    ...askBerth(() => stack),
    kill,
    killGroup: () => endProgram(run.child, 'SIGKILL', () => process.kill(-(run.child.pid as number), 'SIGKILL')),
    restart: async (env = {}) => {
      if (!hasEnded(run.child)) await kill('SIGTERM')
      run = await startProgram({ ...environment, ...env, BERTH_PORT: String(run.port) }, write, options.ownGroup)
    },
    stop: async () => {
      if (!hasEnded(run.child)) await kill('SIGTERM')
      await cleanUp()
    },
  }
  return stack
}

type Settings = { home: string; password: string; options: StackOptions; databaseUrl?: string }

/** How often Berth does what it does by itself. Not at all, unless a test says so: a task more at some minute of an hour is one too many. */
export function byItself(seconds: number): NodeJS.ProcessEnv {
  return {
    BERTH_GC_INTERVAL_SECONDS: String(seconds),
    BERTH_RETENTION_INTERVAL_SECONDS: String(seconds),
    BERTH_SCRUB_INTERVAL_SECONDS: String(seconds),
  }
}

/** The environment of a Berth for tests: nothing of ours leaks into it but the path of nats-server. */
export function environmentOf({ home, password, options, databaseUrl }: Settings): NodeJS.ProcessEnv {
  const { natsUrl, s3 } = options.external ?? {}
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('BERTH_'))
  return {
    ...Object.fromEntries(inherited),
    BERTH_HOME: home,
    BERTH_ADMIN_PASSWORD: password,
    BERTH_NATS_SERVER: process.env.BERTH_NATS_SERVER,
    ...byItself(0),
    ...(databaseUrl ? { BERTH_DATABASE_URL: databaseUrl } : {}),
    ...(natsUrl ? { BERTH_NATS_URL: natsUrl } : {}),
    ...(s3
      ? {
          BERTH_S3_ENDPOINT: s3.endpoint,
          BERTH_S3_BUCKET: s3.bucket,
          BERTH_S3_ACCESS_KEY: s3.accessKey,
          BERTH_S3_SECRET_KEY: s3.secretKey,
        }
      : {}),
    ...options.env,
  }
}

async function startProgram(env: NodeJS.ProcessEnv, write: (text: string) => void, ownGroup = false): Promise<Run> {
  const startedAt = Date.now()
  // Killed with us: its own servers die with it in turn.
  const [command, args] = dyingWithUs('KILL', process.execPath, [programOf('standalone')])
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: ownGroup })
  let output = ''
  const ready = new Promise<string>((resolve) => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        write(text)
        output += text
        const url = /^berth is ready: (https?:\/\/localhost:\d+)$/m.exec(output)?.[1]
        if (url) resolve(url)
      })
  })
  const late = AbortSignal.timeout(readyWithinMs)
  const failed = Promise.race([once(child, 'close'), once(late, 'abort')]).then(() => undefined)
  const answer = await Promise.race([ready, failed])
  if (answer !== undefined)
    return { child, url: answer, port: Number(new URL(answer).port), startMs: Date.now() - startedAt }
  child.kill('SIGKILL')
  await ended(child)
  throw new Error(`berth does not become ready:\n${output.slice(-4000)}`)
}

async function endProgram(
  child: ChildProcess,
  signal: NodeJS.Signals,
  end: () => void = () => void child.kill(signal),
): Promise<Ended> {
  const askedAt = Date.now()
  end()
  const late = setTimeout(() => child.kill('SIGKILL'), stoppedWithinMs)
  await ended(child)
  clearTimeout(late)
  return { code: child.exitCode, signal: child.signalCode, durationMs: Date.now() - askedAt }
}
