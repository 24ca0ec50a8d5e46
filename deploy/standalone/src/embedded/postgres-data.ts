import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chown, mkdir, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { StartupError } from '@berth/service'
import { syncFolder, writeDurably } from '../children/durable-file.ts'
import type { PostgresProgram } from './postgres-program.ts'

export const superuser = 'berth'

export type PostgresData = { folder: string; password: string }

const otherHome = 'set BERTH_HOME to another directory'

/**
 * The data directory `HOME/postgres/data`, made at first use, with the superuser's password beside it.
 * Throws StartupError, changing nothing, when what is there is not ours to use: another major version, another owner, or
 * not made by Berth.
 */
export async function preparePostgresData(
  home: string,
  program: PostgresProgram,
  options: { durable: boolean },
): Promise<PostgresData> {
  const parent = path.join(home, 'postgres')
  const folder = path.join(parent, 'data')
  await makeParent(parent, program)
  if (await isEmpty(folder)) return { folder, password: await initialise(parent, folder, program, options) }
  await refuseForeign(folder, program)
  return { folder, password: await readPassword(parent, folder) }
}

/**
 * How PostgreSQL is told its data directory. Run as another user it may be unable to enter the folders above (a home
 * under /root), so it is started inside the directory and finds it through its own working directory.
 */
export function dataArgument(folder: string, runAs: PostgresProgram['runAs']): string {
  return runAs ? '/proc/self/cwd' : folder
}

async function makeParent(parent: string, { runAs }: PostgresProgram): Promise<void> {
  try {
    await mkdir(parent, { recursive: true, mode: 0o700 })
    if (runAs && (await stat(parent)).uid !== runAs.uid) await giveTo(parent, runAs)
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code
    throw new StartupError(
      `the database cannot be kept in ${parent} (${why})`,
      `make ${path.dirname(parent)} writable for this user, or ${otherHome}`,
      { cause },
    )
  }
}

// Only what is empty is given away: with data in it the owner was chosen on purpose.
async function giveTo(parent: string, runAs: { uid: number; gid: number }): Promise<void> {
  if ((await readdir(parent)).length === 0) await chown(parent, runAs.uid, runAs.gid)
}

async function isEmpty(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length === 0
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return true
    if (code !== 'EACCES') throw error
    throw new StartupError(
      `the database in ${folder} belongs to another user`,
      `run Berth as the user who made it (root, if it was first started by root), or ${otherHome}`,
      { cause: error },
    )
  }
}

async function refuseForeign(folder: string, { majorVersion, runAs }: PostgresProgram): Promise<void> {
  const found = (await readIfThere(path.join(folder, 'PG_VERSION')))?.trim()
  if (found === undefined) {
    throw new StartupError(
      `${folder} holds something that is no PostgreSQL data directory`,
      `move it away, or ${otherHome}`,
    )
  }
  if (found !== majorVersion) {
    throw new StartupError(
      `the database in ${folder} was made by PostgreSQL ${found}, and this Berth carries PostgreSQL ${majorVersion}`,
      `start the Berth release that made it and export, or run PostgreSQL ${found} on it and set BERTH_DATABASE_URL, or ${otherHome}`,
    )
  }
  const { uid } = await stat(folder)
  const expected = runAs?.uid ?? process.geteuid?.()
  if (uid !== expected) {
    throw new StartupError(
      `the database in ${folder} belongs to uid ${uid}, and PostgreSQL would run as uid ${expected}`,
      `run Berth as the user who made it (root, if it was first started by root), or ${otherHome}`,
    )
  }
}

async function readPassword(parent: string, folder: string): Promise<string> {
  const password = await readIfThere(path.join(parent, 'password'))
  if (password) return password.trim()
  throw new StartupError(
    `the database in ${folder} was not made by Berth: ${path.join(parent, 'password')} is missing`,
    `restore that file from where the data came from, move the database away, or ${otherHome}`,
  )
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

// Made under another name and renamed, so that a killed first start leaves nothing that looks finished. The password
// comes first: data without it could not be used.
async function initialise(
  parent: string,
  folder: string,
  program: PostgresProgram,
  { durable }: { durable: boolean },
): Promise<string> {
  const { runAs } = program
  const made = path.join(parent, 'data.new')
  await rm(made, { recursive: true, force: true })
  await mkdir(made, { mode: 0o700 })
  const password = randomBytes(24).toString('base64url')
  const passwordFile = path.join(parent, 'password')
  writeDurably(passwordFile, `${password}\n`)
  if (runAs) await Promise.all([made, passwordFile].map((file) => chown(file, runAs.uid, runAs.gid)))
  const data = dataArgument(made, runAs)
  const access = ['--username', superuser, '--pwfile', `${data}/../password`, '--auth', 'scram-sha-256']
  const kind = ['--encoding', 'UTF8', '--locale', 'C', '--no-instructions', ...(durable ? [] : ['--no-sync'])]
  await runInitdb(program, made, ['--pgdata', data, ...access, ...kind])
  await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  await rename(made, folder)
  if (durable) syncFolder(parent)
  return password
}

async function runInitdb({ binFolder, runAs }: PostgresProgram, cwd: string, args: string[]): Promise<void> {
  const child = spawn(path.join(binFolder, 'initdb'), args, { ...runAs, cwd, stdio: ['ignore', 'ignore', 'pipe'] })
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text
  })
  const [code] = await once(child, 'close')
  if (code === 0) return
  throw new StartupError(
    `PostgreSQL could not make its data directory ${cwd}: ${complaint.trim()}`,
    `look at free space and permissions there, or ${otherHome}`,
  )
}
