import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { StartupError } from '@berth/service'

/** The variables by which PostgreSQL's programs connect: a command line with a password would be read by everybody. */
function environmentFor(databaseUrl: string): NodeJS.ProcessEnv {
  const url = new URL(databaseUrl)
  const own: NodeJS.ProcessEnv = {
    PGHOST: url.hostname.replaceAll(/^\[|\]$/g, ''),
    PGPORT: url.port || '5432',
    PGUSER: decodeURIComponent(url.username),
    PGDATABASE: decodeURIComponent(url.pathname.slice(1)),
    ...(url.password ? { PGPASSWORD: decodeURIComponent(url.password) } : {}),
  }
  for (const [name, value] of url.searchParams) own[`PG${name.toUpperCase()}`] = value
  return { ...process.env, ...own }
}

/** Throws `StartupError` unless a program of PostgreSQL is here and as new as the server. */
export function requireTool(program: 'pg_dump' | 'pg_restore', serverVersion: number): void {
  const { stdout, error } = spawnSync(program, ['--version'], { encoding: 'utf8' })
  const remedy = `install the client of PostgreSQL ${serverVersion} (Debian: postgresql-client-${serverVersion}), and put it first in PATH`
  if (error) throw new StartupError(`${program} is not installed`, remedy)
  const version = Number(/\) (\d+)/.exec(stdout)?.[1])
  if (version < serverVersion)
    throw new StartupError(`${program} is of PostgreSQL ${version}, and the server of ${serverVersion}`, remedy)
}

/** Runs one of them on a database; throws with what it said when it fails. */
export async function runTool(program: 'pg_dump' | 'pg_restore', databaseUrl: string, args: string[]): Promise<void> {
  const child = spawn(program, args, { env: environmentFor(databaseUrl), stdio: ['ignore', 'inherit', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = `${said}${text}`.slice(-4_000)
  })
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`${program} failed: ${said.trim()}`)
}
