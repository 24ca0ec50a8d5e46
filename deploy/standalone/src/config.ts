import path from 'node:path'
import { adminSettings, externalLoginSettings } from '@berth/auth-service'
import { blobSettings } from '@berth/blobs'
import { buildOwnSettings } from '@berth/build-service'
import { collectorSettings, historySettings, transferSettings } from '@berth/catalog-service'
import { natsSettings } from '@berth/host'
import { pushSettings } from '@berth/registry-service'
import {
  auditCountSettings,
  callSettings,
  deadLetterSettings,
  flag,
  integer,
  internalTlsSettings,
  listenSettings,
  logSettings,
  operationsSettings,
  optionalText,
  optionalUrl,
  originSettings,
  readConfig,
  restoredSettings,
  StartupError,
  secretsSettings,
  text,
  tlsSettings,
  traceSettings,
  withDatabasePassword,
} from '@berth/service'

import { auditSettings, scheduleSettings, taskSettings } from '@berth/tasks-service'
import { workerSettings } from '@berth/worker'

/** What the standalone stack reads from the environment (docs/reference/settings.md). */
const standaloneSettings = {
  port: integer('BERTH_PORT', { min: 0, max: 65_535 }, { fallback: 8080 }),
  host: text('BERTH_HOST', { fallback: '0.0.0.0' }),
  home: text('BERTH_HOME', { fallback: './.berth' }),
  ...adminSettings,
  databaseUrl: optionalUrl('BERTH_DATABASE_URL', ['postgres', 'postgresql']),
  databasePassword: optionalText('BERTH_DATABASE_PASSWORD', { secret: true }),
  natsUrl: optionalUrl('BERTH_NATS_URL', ['nats']),
  ...natsSettings,
  natsServer: text('BERTH_NATS_SERVER', { fallback: 'nats-server' }),
  ...originSettings,
  ...secretsSettings,
  processes: flag('BERTH_PROCESSES', { fallback: false }),
  ...logSettings,
  ...externalLoginSettings,
  ...collectorSettings,
  ...historySettings,
  ...transferSettings,
  ...pushSettings,
  ...callSettings,
  ...workerSettings,
  ...blobSettings,
  blobsJournal: flag('BERTH_BLOBS_JOURNAL', { fallback: true }),
  ...tlsSettings,
  ...internalTlsSettings,
  ...taskSettings,
  ...scheduleSettings,
  ...buildOwnSettings,
  buildDirectory: optionalText('BERTH_BUILD_DIR'),
  ...auditSettings,
  ...auditCountSettings,
  ...deadLetterSettings,
  ...listenSettings,
  ...operationsSettings,
  ...restoredSettings,
  ...traceSettings,
}

export type StandaloneConfig = ReturnType<typeof readStandaloneConfig>

/** Reads the settings. Throws `StartupError` that lists every fault. */
export function readStandaloneConfig(env: NodeJS.ProcessEnv) {
  const config = readConfig(standaloneSettings, env)
  const isTold = [config.internalTlsCert, config.internalTlsKey, config.internalTlsCa].some((one) => one !== undefined)
  // In one process there is nothing between services to encrypt.
  if (config.processes && isTold)
    throw new StartupError(
      'BERTH_PROCESSES is true and BERTH_INTERNAL_TLS_… is set: the processes of this program ask each other on this machine only, by http',
      'take the one or the other away; services that are started by themselves encrypt their calls',
    )
  return withDatabasePassword(config)
}

/** Where builds lie while they run, and their caches. */
export function buildDirectoryOf({ buildDirectory }: StandaloneConfig, home: string): string {
  return buildDirectory ?? path.join(home, 'build')
}

/** Below which directory archives are written to and read from. */
export function transferDirectoryOf({ transferDirectory }: StandaloneConfig, home: string): string {
  return transferDirectory ?? path.join(home, 'transfer')
}

/** Where blobs are kept, unless in a bucket. */
export function blobsDirectoryOf({ blobsDirectory, s3Endpoint }: StandaloneConfig, home: string): string | undefined {
  return blobsDirectory ?? (s3Endpoint === undefined ? path.join(home, 'blobs') : undefined)
}
