import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type EmbeddedPostgres, startPostgres } from '@berth/standalone/embedded'
import { joinPrograms } from './joined-programs.ts'
import { type Lender, startLender } from './lender.ts'
import { startMinio } from './minio.ts'
import { startNatsWithLogin } from './nats.ts'
import { makeFolderInMemory, makeTemporaryFolder, removeFolder, removeFoldersOfDeadRuns } from './temporary-folder.ts'

const bootstrap = fileURLToPath(new URL('../../deploy/bootstrap/run.mjs', import.meta.url))
const stops: (() => Promise<void>)[] = []
let lender: Lender | undefined

/**
 * Starts what the tests share, one of each, and tells them by BERTH_TEST_DATABASE_URL, BERTH_TEST_NATS_URL and
 * BERTH_TEST_S3_*; what test files use one after another is lent at
 * BERTH_TEST_LENDER. A server that the caller's environment already names
 * is used instead.
 */
export async function startTestServers(): Promise<void> {
  removeFoldersOfDeadRuns()
  // Berth is started some hundred times: what Node makes of its files is kept from one start to the next.
  process.env.NODE_COMPILE_CACHE ??= folderOfRun('compiled')
  process.env.BERTH_TEST_IMAGES = folderOfRun('images')
  // A test file run by jest itself has not come through the bootstrap.
  if (process.env.BERTH_TEST_MISSING === undefined) Object.assign(process.env, askBootstrap())
  const started = await Promise.allSettled([startDatabase(), startBus(), startS3(), join()])
  const failures = started.filter((one) => one.status === 'rejected').map((one) => one.reason as Error)
  if (failures.length === 0) {
    lender = await startLender()
    process.env.BERTH_TEST_LENDER = lender.url
    return
  }
  await stopTestServers()
  throw new AggregateError(failures, failures.map((failure) => failure.message).join('\n'))
}

/** Stops what `startTestServers` started and removes its folders. */
export async function stopTestServers(): Promise<void> {
  // First, for each Berth drops its database.
  await lender?.stop()
  lender = undefined
  await Promise.all(stops.splice(0).map((stop) => stop()))
}

function folderOfRun(label: string): string {
  const folder = makeTemporaryFolder(label)
  stops.push(async () => removeFolder(folder))
  return folder
}

async function join(): Promise<void> {
  if (process.env.BERTH_TEST_PROGRAMS !== undefined) return
  const folder = folderOfRun('programs')
  await joinPrograms(folder)
  process.env.BERTH_TEST_PROGRAMS = folder
}

function askBootstrap(): Record<string, string> {
  const answer = execFileSync(process.execPath, [bootstrap, 'env'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 2] })
  return JSON.parse(answer) as Record<string, string>
}

async function startDatabase(): Promise<void> {
  if (process.env.BERTH_TEST_DATABASE_URL) return
  // In memory: to make a database is to make hundreds of files, of which a disk makes hundreds of milliseconds.
  const home = makeFolderInMemory('postgres')
  let postgres: EmbeddedPostgres | undefined
  stops.push(async () => {
    await postgres?.stop()
    removeFolder(home)
  })
  postgres = await startPostgres({ home, durable: false })
  process.env.BERTH_TEST_DATABASE_URL = postgres.url
}

async function startBus(): Promise<void> {
  // An unset variable assigned to another would become the word "undefined".
  if (process.env.BERTH_NATS_URL) process.env.BERTH_TEST_NATS_URL ??= process.env.BERTH_NATS_URL
  if (process.env.BERTH_TEST_NATS_URL) return
  if (!process.env.BERTH_NATS_SERVER) throw new Error('the bootstrap named no nats-server')
  const nats = await startNatsWithLogin()
  stops.push(() => nats.stop())
  process.env.BERTH_TEST_NATS_URL = nats.url
}

async function startS3(): Promise<void> {
  if (process.env.BERTH_TEST_S3_ENDPOINT || !process.env.BERTH_TEST_MINIO) return
  const minio = await startMinio()
  stops.push(() => minio.stop())
  process.env.BERTH_TEST_S3_ENDPOINT = minio.endpoint
  process.env.BERTH_TEST_S3_BUCKET = 'berth-test'
  process.env.BERTH_TEST_S3_ACCESS_KEY = minio.accessKey
  process.env.BERTH_TEST_S3_SECRET_KEY = minio.secretKey
}
