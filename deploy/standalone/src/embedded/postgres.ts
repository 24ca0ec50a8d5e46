import { type ChildProcess, spawn } from 'node:child_process'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Logger, StartupError } from '@berth/service'
import { Client } from 'pg'
import { dyingWithUs, ended, hasEnded, type KeptChild, keepRunning } from '../children/keep-running.ts'
import { lastLines, withLogFile } from '../children/log-file.ts'
import { chooseAddress, clearSocket, listenSettings, type PostgresAddress, urlAt } from './postgres-address.ts'
import { dataArgument, type PostgresData, preparePostgresData } from './postgres-data.ts'
import { clearPredecessor, readPostmasterFile } from './postgres-predecessor.ts'
import { findPostgres, type PostgresProgram } from './postgres-program.ts'

export type PostgresOptions = {
  /** BERTH_HOME: the data is kept in `HOME/postgres`. Its lock is held by the caller. */
  home: string
  /** false: no fsync, for tests whose data is thrown away. */
  durable?: boolean
  log?: Pick<Logger, 'info' | 'warn' | 'error'>
}

/** A running PostgreSQL; `url` names its database `berth` and stays the same when it has to be started again. */
export type EmbeddedPostgres = KeptChild & { url: string }

type Launch = {
  program: PostgresProgram
  data: PostgresData
  address: PostgresAddress
  durable: boolean
  logFile: string
}

// Crash recovery replays at most a few GiB of log.
const readyWithinMs = 600_000
const portTries = 5

/**
 * Starts the embedded PostgreSQL at a socket in the home, or on a port of 127.0.0.1 where it can have none, and keeps it running;
 * makes its data directory and the database `berth` at first use. Throws StartupError with the remedy when the data directory
 * cannot be used.
 */
export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const { log, durable = true } = options
  const home = path.resolve(options.home)
  const program = await findPostgres(log)
  const data = await preparePostgresData(home, program, { durable })
  const logFile = path.join(home, 'postgres', 'log')
  const { kept, address } = await atAddress(data.folder, program, (address) => {
    const launch = { program, data, address, durable, logFile }
    return keepRunning({
      home,
      name: 'postgres',
      program: 'postgres',
      // Fast, then immediate shutdown; https://www.postgresql.org/docs/18/server-shutdown.html
      stopSignals: ['SIGINT', 'SIGQUIT'],
      // A checkpoint may take long on a slow disk, and all of Berth has ten seconds to stop: the second signal makes none, and the
      // next start replays the log instead.
      patienceMs: 4000,
      launch: (stop) => launchPostgres(launch, stop),
      log,
    })
  })
  const url = urlAt(address, data.password)
  try {
    await createDatabase(url)
  } catch (error) {
    await kept.stop()
    throw error
  }
  return {
    url,
    stop: () => kept.stop(),
    get pid() {
      return kept.pid
    },
  }
}

// Between finding a free port and using it another program may take it.
async function atAddress(
  dataFolder: string,
  program: PostgresProgram,
  start: (address: PostgresAddress) => Promise<KeptChild>,
): Promise<{ kept: KeptChild; address: PostgresAddress }> {
  for (let tries = 1; ; tries++) {
    const address = await chooseAddress(dataFolder, program)
    try {
      return { kept: await start(address), address }
    } catch (error) {
      if (tries === portTries || !(error as Error).message.includes('could not bind')) throw error
    }
  }
}

async function launchPostgres(launch: Launch, stop: AbortSignal): Promise<ChildProcess> {
  await clearPredecessor(launch.data.folder)
  await clearSocket(launch.address)
  const child = spawnPostgres(launch)
  for (const until = Date.now() + readyWithinMs; Date.now() < until && !stop.aborted; await pause(10)) {
    if (hasEnded(child)) break
    const said = readPostmasterFile(launch.data.folder)
    if (said?.pid === child.pid && said?.ready) return child
  }
  if (!hasEnded(child)) {
    child.kill('SIGINT')
    await ended(child)
  }
  throw new StartupError(
    `PostgreSQL does not start on ${launch.data.folder}:\n${lastLines(launch.logFile)}`,
    `its whole log is ${launch.logFile}; BERTH_HOME chooses another directory, BERTH_DATABASE_URL another server`,
  )
}

function spawnPostgres({ program, data, address, durable, logFile }: Launch): ChildProcess {
  const settings = {
    ...listenSettings(address),
    // Six services with a pool each, and room for backups and a person with psql.
    max_connections: 200,
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_checkpoints: 'off',
    // Compiling a query costs more than any query of ours takes.
    jit: 'off',
    ...(durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_wal_size: '256MB' }),
  }
  const given = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const postgres = path.join(program.binFolder, 'postgres')
  const [command, args] = dyingWithUs('INT', postgres, ['-D', dataArgument(data.folder, program.runAs), ...given])
  return withLogFile(logFile, (log) => {
    const child = spawn(command, args, { ...program.runAs, cwd: data.folder, stdio: ['ignore', log, log] })
    // A failed spawn is seen by the missing pid, as an end.
    child.on('error', () => undefined)
    return child
  })
}

async function createDatabase(url: string): Promise<void> {
  const client = new Client({ connectionString: url.replace(/\/berth(?=$|\?)/, '/postgres') })
  await client.connect()
  try {
    const { rowCount } = await client.query(`SELECT 1 FROM pg_database WHERE datname = 'berth'`)
    if (rowCount === 0) await client.query('CREATE DATABASE berth')
  } finally {
    await client.end()
  }
}
