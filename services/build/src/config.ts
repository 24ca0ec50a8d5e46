import { tmpdir } from 'node:os'
import path from 'node:path'
import { type HostConfig, hostSettings } from '@berth/host'
import { type ConfigOf, flag, integer, optionalText, parsed, secretsSettings, text } from '@berth/service'
import { workerSettings } from '@berth/worker'
import { type Aliases, readAliases } from './bases/aliases.ts'

const most = Number.MAX_SAFE_INTEGER
const noAliases: Aliases = new Map()

/** Whether images are built here, and within which limits; the standalone stack reads this too. */
export const buildOwnSettings = {
  builds: flag('BERTH_BUILDS', { fallback: false }),
  buildDirectory: text('BERTH_BUILD_DIR', { fallback: path.join(tmpdir(), 'berth-build') }),
  buildUser: optionalText('BERTH_BUILD_USER'),
  buildAliases: parsed<Aliases>(
    'BERTH_BUILD_ALIASES',
    'a list of names and what they are here, as docker.io/library=mirrors/library,quay.io=quay',
    readAliases,
    { fallback: noAliases },
  ),
  buildSeconds: integer('BERTH_BUILD_SECONDS', { min: 1, max: 86_400 }, { fallback: 1_800 }),
  buildMemoryBytes: integer('BERTH_BUILD_MEMORY_BYTES', { min: 64 << 20, max: most }, { fallback: 4 * 2 ** 30 }),
  buildProcesses: integer('BERTH_BUILD_PROCESSES', { min: 16, max: 1_000_000 }, { fallback: 512 }),
  buildDiskBytes: integer('BERTH_BUILD_DISK_BYTES', { min: 64 << 20, max: most }, { fallback: 10 * 2 ** 30 }),
  buildContextBytes: integer('BERTH_BUILD_CONTEXT_BYTES', { min: 1 << 10, max: most }, { fallback: 2 ** 30 }),
  buildContextFiles: integer('BERTH_BUILD_CONTEXT_FILES', { min: 1, max: 10_000_000 }, { fallback: 100_000 }),
  buildCacheBytes: integer('BERTH_BUILD_CACHE_BYTES', { min: 0, max: most }, { fallback: 10 * 2 ** 30 }),
  buildCacheRepositoryBytes: integer(
    'BERTH_BUILD_CACHE_REPOSITORY_BYTES',
    { min: 0, max: most },
    { fallback: 2 * 2 ** 30 },
  ),
}

/** The services that build asks. */
export const peers = ['auth', 'catalog', 'sync', 'tasks'] as const

/** What build reads from the environment. */
export const buildSettings = {
  ...hostSettings('build', peers),
  ...secretsSettings,
  ...workerSettings,
  ...buildOwnSettings,
}
export type BuildConfig = HostConfig<(typeof peers)[number]> &
  ConfigOf<typeof buildOwnSettings & typeof workerSettings> & {
    secretsKey?: string | undefined
    secretsPreviousKeys?: string | undefined
    storeAdopt?: string | undefined
  }
