import { optionalText, url } from './config.ts'
import { StartupError } from './startup-error.ts'

/** Where the database is; of a password that is kept apart the URL says nothing. */
export const databaseSettings = {
  databaseUrl: url('BERTH_DATABASE_URL', ['postgres', 'postgresql']),
  databasePassword: optionalText('BERTH_DATABASE_PASSWORD', { secret: true }),
}

/** The settings with the password in the URL, where it is given apart from it. Throws `StartupError`. */
export function withDatabasePassword<
  T extends { databaseUrl: string | undefined; databasePassword: string | undefined },
>(config: T): T {
  const { databaseUrl, databasePassword } = config
  if (databasePassword === undefined) return config
  if (databaseUrl === undefined)
    throw new StartupError(
      'BERTH_DATABASE_PASSWORD is set and BERTH_DATABASE_URL is not',
      'set BERTH_DATABASE_URL to postgresql://user@host:5432/database, or take the password away',
    )
  const complete = new URL(databaseUrl)
  if (complete.password !== '')
    throw new StartupError(
      'BERTH_DATABASE_URL has a password, and BERTH_DATABASE_PASSWORD is set too',
      'take one of them away',
    )
  if (complete.username === '')
    throw new StartupError(
      'BERTH_DATABASE_PASSWORD is set, and BERTH_DATABASE_URL names no user',
      'write it as postgresql://user@host:5432/database',
    )
  complete.password = encodeURIComponent(databasePassword)
  return { ...config, databaseUrl: complete.href }
}
