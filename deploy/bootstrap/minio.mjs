import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { cacheFolder } from './cache.mjs'
import { findOnPath } from './command.mjs'
import { goInstall, hasGo } from './go-install.mjs'
import { say } from './say.mjs'

// The makers tag no Go versions; this is a commit that builds and passes the S3 tests.
const minioVersion = 'v0.0.0-20260212201848-7aac2a2c5b7c'

/**
 * The environment of the S3 tests: nothing when BERTH_TEST_S3_ENDPOINT names a server, else BERTH_TEST_MINIO with the
 * path of a MinIO, else BERTH_TEST_NO_S3 with why there is none. MinIO's makers give source only, so it is built, once;
 * not when `build` is false.
 */
export async function minioEnvironment({ build }) {
  if (process.env.BERTH_TEST_S3_ENDPOINT || process.env.BERTH_TEST_MINIO) return {}
  const there = findOnPath('minio') ?? cached()
  if (there) return { BERTH_TEST_MINIO: there }
  if (!build) return without('no MinIO has been built yet: `npm test` builds one')
  if (!hasGo()) return without('no MinIO on PATH and no Go to build it: install either, or set BERTH_TEST_S3_ENDPOINT')
  try {
    say('building MinIO with Go for the S3 tests, once (about two minutes)')
    return {
      BERTH_TEST_MINIO: await goInstall({ name: 'minio', version: minioVersion, module: 'github.com/minio/minio' }),
    }
  } catch (error) {
    return without(`MinIO could not be built: ${error.message}`)
  }
}

function cached() {
  const found = readdirSync(cacheFolder()).filter((entry) => entry.startsWith('minio-'))
  return found.map((entry) => path.join(cacheFolder(), entry, 'minio')).find((program) => existsSync(program))
}

function without(why) {
  say(`THE S3 TESTS ARE SKIPPED: ${why}`)
  return { BERTH_TEST_NO_S3: why }
}
