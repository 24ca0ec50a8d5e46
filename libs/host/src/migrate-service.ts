import {
  applyMigrations,
  awaitDatabase,
  databaseSettings,
  optionalText,
  readConfig,
  runUntilSignal,
  withDatabasePassword,
} from '@berth/service'
import type { ServiceName } from './settings.ts'

const settings = {
  ...databaseSettings,
  role: optionalText('BERTH_DATABASE_ROLE'),
}

/**
 * Brings the schema of a service up to date and ends, for services that do not do it themselves (`BERTH_MIGRATE=false`): it needs the
 * rights to make tables, and nothing else of what the service needs. A server that is not there yet is waited for.
 */
export async function migrateService(name: ServiceName, schemaParts: readonly URL[]): Promise<void> {
  await runUntilSignal(async () => {
    const { databaseUrl, role } = withDatabasePassword(readConfig(settings, process.env))
    await awaitDatabase(databaseUrl)
    const applied = await applyMigrations({ url: databaseUrl, schema: name, parts: schemaParts, role })
    process.stdout.write(
      `schema "${name}" is up to date${applied.length > 0 ? `: ${applied.length} migrations applied` : ''}\n`,
    )
    return async () => {}
  })
}
