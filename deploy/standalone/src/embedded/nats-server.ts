import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { makeNatsUser, natsUsers } from '@berth/bus'
import { type Logger, StartupError } from '@berth/service'
import { freePort } from '../children/free-port.ts'
import { dyingWithUs, ended, hasEnded, type KeptChild, keepRunning } from '../children/keep-running.ts'
import { lastLines, withLogFile } from '../children/log-file.ts'
import { type ServiceName, serviceNames } from '../routes.ts'

export type NatsOptions = {
  /** BERTH_HOME: JetStream's files are kept in `HOME/nats`. Its lock is held by the caller. */
  home: string
  /** The path of nats-server, which the bootstrap hands over as BERTH_NATS_SERVER. */
  binary: string
  log?: Pick<Logger, 'info' | 'warn' | 'error'>
}

/**
 * A running nats-server with JetStream; all of this stays the same over restarts of it. Each service logs in with the seed that is its
 * own.
 */
export type EmbeddedNats = KeptChild & { url: string; seeds: Record<ServiceName, string> }

const readyWithinMs = 30_000
const portTries = 5

/**
 * Starts nats-server on a free port of 127.0.0.1, for a user a service and the user `reader`, with keys of this run, and keeps it
 * running. Its URL is also in `HOME/nats/url`, and the seed of the reader in `HOME/nats/reader.nk`, readable by the owner alone.
 * Throws StartupError when it does not start.
 */
export async function startNats({ home: givenHome, binary, log }: NatsOptions): Promise<EmbeddedNats> {
  const home = path.resolve(givenHome)
  const folder = path.join(home, 'nats')
  const reader = makeNatsUser()
  const users = serviceNames.map((name) => ({ name, ...makeNatsUser() }))
  const authorization = natsUsers(byName(users.map(({ name, publicKey }) => [name, publicKey])), reader.publicKey)
  for (let tries = 1; ; tries++) {
    const port = await freePort()
    writeConfiguration(folder, port, authorization)
    try {
      const kept = await keepRunning({
        home,
        name: 'nats-server',
        program: 'nats-server',
        stopSignals: ['SIGTERM'],
        patienceMs: 5000,
        launch: (stop) => launchNats(binary, folder, port, stop),
        log,
      })
      const url = `nats://127.0.0.1:${port}`
      writeForReaders(folder, { url, 'reader.nk': reader.seed })
      return {
        url,
        seeds: byName(users.map(({ name, seed }) => [name, seed])),
        stop: () => kept.stop(),
        get pid() {
          return kept.pid
        },
      }
    } catch (error) {
      // Between finding a free port and using it another program may have taken it.
      if (tries === portTries || !(error as Error).message.includes('address already in use')) throw error
    }
  }
}

function byName(pairs: [ServiceName, string][]): Record<ServiceName, string> {
  return Object.fromEntries(pairs) as Record<ServiceName, string>
}

// Only settings that Debian's 2.9 knows too. JetStream need not be durable: PostgreSQL is the memory, and its limits are
// far above what is ever in flight.
function writeConfiguration(folder: string, port: number, authorization: string): void {
  const lines = [
    'server_name: berth',
    `listen: "127.0.0.1:${port}"`,
    authorization,
    `jetstream { store_dir: ${JSON.stringify(path.join(folder, 'store'))}, max_memory_store: 64MB, max_file_store: 4GB }`,
  ]
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    writeFileSync(configurationFile(folder), `${lines.join('\n')}\n`, { mode: 0o600 })
  } catch (cause) {
    throw new StartupError(
      `NATS cannot keep its files in ${folder} (${(cause as NodeJS.ErrnoException).code})`,
      `make ${path.dirname(folder)} writable for this user, or set BERTH_HOME to another directory`,
      { cause },
    )
  }
}

// For subscribers that the operator runs: only the account that Berth runs under can read the files.
function writeForReaders(folder: string, texts: Record<string, string>): void {
  for (const [name, text] of Object.entries(texts)) {
    const file = path.join(folder, name)
    writeFileSync(`${file}.new`, `${text}\n`, { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }
}

function configurationFile(folder: string): string {
  return path.join(folder, 'nats.conf')
}

async function launchNats(binary: string, folder: string, port: number, stop: AbortSignal): Promise<ChildProcess> {
  const logFile = path.join(folder, 'log')
  const [command, args] = dyingWithUs('TERM', binary, ['--config', configurationFile(folder)])
  let failure: Error | undefined
  const child = withLogFile(logFile, (log) => spawn(command, args, { stdio: ['ignore', log, log] }))
  child.on('error', (error) => {
    failure = error
  })
  for (const until = Date.now() + readyWithinMs; Date.now() < until && !stop.aborted; await pause(10)) {
    if (failure || hasEnded(child)) break
    if ((await greets(port)) && !hasEnded(child)) return child
  }
  if (child.pid !== undefined && !hasEnded(child)) {
    child.kill('SIGKILL')
    await ended(child)
  }
  throw new StartupError(
    `nats-server (${binary}) does not start: ${failure?.message ?? `\n${lastLines(logFile)}`}`,
    `its whole log is ${logFile}; BERTH_NATS_SERVER chooses another program, BERTH_NATS_URL a running server`,
  )
}

// A nats-server speaks first, and only once JetStream is up: https://docs.nats.io/reference/nats-protocol#info
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, timeout: 1000 })
    const answer = (greeted: boolean) => {
      socket.destroy()
      resolve(greeted)
    }
    socket.once('data', (bytes) => answer(bytes.toString('latin1').startsWith('INFO ')))
    socket.once('error', () => answer(false))
    socket.once('timeout', () => answer(false))
    socket.once('end', () => answer(false))
  })
}
