import { execFileSync } from 'node:child_process'
import { chownSync, existsSync } from 'node:fs'
import path from 'node:path'
import { freePort } from '@berth/standalone/children'
import { Client } from 'pg'
import { findProgram, missingPrograms } from './programs.ts'
import { startServerProcess } from './server-process.ts'

/** A PostgreSQL of this machine's distribution; `url` names the database `berth`, `adminUrl` another one, of the superuser. */
export type SystemPostgres = { url: string; adminUrl: string; stop(): Promise<void> }

// `nobody`: PostgreSQL refuses to be run by root.
const nobody = 65534

/** The folder of the server that is as new as `pg_dump`; else why there is none. Berth needs version 15. */
export function findSystemPostgres(): { binFolder: string } | { why: string } {
  const missing = missingPrograms('pg_dump', 'pg_restore', 'psql', 'setpriv', 'curl')
  if (missing.length > 0) return { why: `not installed: ${missing.join(', ')}` }
  const said = execFileSync('pg_dump', ['--version'], { encoding: 'utf8' })
  const version = Number(/\) (\d+)/.exec(said)?.[1])
  if (version < 15) return { why: `pg_dump is of PostgreSQL ${version}` }
  const binFolder = `/usr/lib/postgresql/${version}/bin`
  return existsSync(path.join(binFolder, 'postgres')) ? { binFolder } : { why: `${binFolder} is missing` }
}

/** Starts it on a free port, with a role `berth` that owns the database. */
export async function startSystemPostgres(binFolder: string): Promise<SystemPostgres> {
  const port = await freePort()
  const isRoot = process.geteuid?.() === 0
  const adminUrl = `postgresql://postgres@127.0.0.1:${port}/postgres`
  const postgres = path.join(binFolder, 'postgres')
  const asNobody = [`--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups']
  const server = await startServerProcess({
    name: 'system-postgres',
    program: isRoot ? (findProgram('setpriv') as string) : postgres,
    args: (folder) => {
      if (isRoot) chownSync(folder, nobody, nobody)
      const as = isRoot ? { uid: nobody, gid: nobody } : {}
      const args = ['-D', path.join(folder, 'data'), '-U', 'postgres', '--auth=trust', '--no-sync']
      execFileSync(path.join(binFolder, 'initdb'), args, { ...as, cwd: folder, stdio: 'ignore' })
      const settings = ['listen_addresses=127.0.0.1', `port=${port}`, 'unix_socket_directories=', 'fsync=off']
      const given = ['-D', path.join(folder, 'data'), ...settings.flatMap((one) => ['-c', one])]
      return isRoot ? [...asNobody, postgres, ...given] : given
    },
    isReady: () => answers(adminUrl),
  })
  for (const sql of ['create role berth login', 'create database berth owner berth']) await ask(adminUrl, sql)
  return { url: `postgresql://berth@127.0.0.1:${port}/berth`, adminUrl, stop: () => server.stop() }
}

async function answers(url: string): Promise<boolean> {
  try {
    await ask(url, 'select 1')
    return true
  } catch {
    // Not yet; if it never does, its own last lines are told.
    return false
  }
}

async function ask(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url })
  try {
    await client.connect()
    await client.query(sql)
  } finally {
    await client.end()
  }
}
