import {
  type ConfigOf,
  choice,
  integer,
  type Logger,
  type Metrics,
  optionalInteger,
  optionalText,
  optionalUrl,
  StartupError,
} from '@berth/service'
import { reserveDisks } from './disk-reserve.ts'
import type { JournalOptions } from './file-system/journal.ts'
import { createFileSystemStore } from './file-system/store.ts'
import { measured } from './measured-store.ts'
import { withReserve } from './reserved-store.ts'
import { createS3Store } from './s3/store.ts'
import { BlobStoreError } from './store/errors.ts'
import type { BlobStore, Disk, HealingReport } from './store/store.ts'

/** The settings that name the blob store: a directory, or a bucket. All services of an installation have the same. */
export const blobSettings = {
  blobsDirectory: optionalText('BERTH_BLOBS_DIR'),
  s3Endpoint: optionalUrl('BERTH_S3_ENDPOINT', ['http', 'https']),
  s3Bucket: optionalText('BERTH_S3_BUCKET'),
  s3AccessKey: optionalText('BERTH_S3_ACCESS_KEY'),
  s3SecretKey: optionalText('BERTH_S3_SECRET_KEY', { secret: true }),
  s3Region: optionalText('BERTH_S3_REGION'),
  /** `workload`: no keys are set, and the platform gives some. */
  s3Credentials: choice('BERTH_S3_CREDENTIALS', ['keys', 'workload'], { fallback: 'keys' }),
  storeAdopt: optionalText('BERTH_STORE_ADOPT'),
  diskReserveBytes: optionalInteger('BERTH_DISK_RESERVE_BYTES', { min: 0, max: Number.MAX_SAFE_INTEGER }),
  s3TimeoutSeconds: integer('BERTH_S3_TIMEOUT_SECONDS', { min: 1, max: 600 }, { fallback: 30 }),
}

export type BlobSettings = Partial<ConfigOf<typeof blobSettings>>

/** Writes into a log what became of bytes that were damaged and pushed again. */
export function logHealing(log: Logger): (report: HealingReport) => void {
  return (report) => {
    const { digest } = report
    if (report.healed) log.warn('damaged bytes are replaced by those that were pushed again', { digest })
    else
      log.warn('bytes that were pushed again cannot be compared with those that are stored', {
        digest,
        error: report.error,
      })
  }
}

/**
 * Opens the store that the settings name and tries it out. `others` are disks beside that of a directory which it must not fill
 * either; `metrics` are told how long it takes for what; a directory keeps a `journal` where that is given. Throws `StartupError`
 * with the remedy when it cannot be used.
 */
export async function openBlobStore(
  settings: BlobSettings,
  hear?: (report: HealingReport) => void,
  {
    others = [],
    metrics,
    journal,
  }: { others?: readonly Disk[]; metrics?: Metrics; journal?: JournalOptions | undefined } = {},
): Promise<BlobStore> {
  refuseHalf(settings)
  refuseBoth(settings)
  const { blobsDirectory, s3Endpoint, diskReserveBytes } = settings
  const bytes =
    s3Endpoint === undefined ? openDirectory(blobsDirectory, hear, journal) : openBucket(s3Endpoint, settings, hear)
  const own = s3Endpoint === undefined ? [{ name: 'the blob store', label: 'blobs', folder: blobsDirectory ?? '' }] : []
  const disks = [...own, ...others]
  const store = disks.length > 0 ? withReserve(bytes, reserveDisks(disks, diskReserveBytes)) : bytes
  try {
    await store.check()
    return metrics ? measured(store, s3Endpoint === undefined ? 'directory' : 's3', metrics) : store
  } catch (cause) {
    await store.close()
    if (!(cause instanceof BlobStoreError)) throw cause
    const remedy =
      settings.s3Endpoint === undefined
        ? 'check the directory, its rights and its disk'
        : `check BERTH_S3_ENDPOINT, _BUCKET (${settings.s3Bucket}), _ACCESS_KEY and _SECRET_KEY`
    throw new StartupError(`the blob store cannot be used: ${cause.message}`, remedy, { cause })
  }
}

/** A bucket without its endpoint would be a directory, and no operator would know. */
function refuseHalf({ s3Endpoint, s3Bucket, s3AccessKey, s3SecretKey, s3Region }: BlobSettings): void {
  if (s3Endpoint !== undefined) return
  const half = { _BUCKET: s3Bucket, _ACCESS_KEY: s3AccessKey, _SECRET_KEY: s3SecretKey, _REGION: s3Region }
  const set = Object.entries(half).flatMap(([name, value]) => (value === undefined ? [] : [`BERTH_S3${name}`]))
  if (set.length === 0) return
  throw new StartupError(
    `${set.join(', ')} ${set.length === 1 ? 'is' : 'are'} set and BERTH_S3_ENDPOINT is not`,
    'set BERTH_S3_ENDPOINT to keep blobs in a bucket, or take these away to keep them in a directory',
  )
}

function refuseBoth({ blobsDirectory, s3Endpoint }: BlobSettings): void {
  if (blobsDirectory === undefined || s3Endpoint === undefined) return
  throw new StartupError(
    'BERTH_BLOBS_DIR and BERTH_S3_ENDPOINT are both set',
    'take one of them away: blobs are kept in a directory or in a bucket',
  )
}

type Hear = ((report: HealingReport) => void) | undefined

function openDirectory(root: string | undefined, hear: Hear, journal: JournalOptions | undefined): BlobStore {
  if (root === undefined)
    throw new StartupError(
      'no blob store is set',
      'set BERTH_BLOBS_DIR to a directory, or BERTH_S3_ENDPOINT and its companions to a bucket',
    )
  return createFileSystemStore({ root, hear, journal })
}

function openBucket(endpoint: string, settings: BlobSettings, hear: Hear): BlobStore {
  const { s3Bucket: bucket, s3AccessKey: accessKey, s3SecretKey: secretKey, s3Region: region } = settings
  const isWorkload = settings.s3Credentials === 'workload'
  if (isWorkload && (accessKey || secretKey))
    throw new StartupError(
      'BERTH_S3_CREDENTIALS=workload, and BERTH_S3_ACCESS_KEY or BERTH_S3_SECRET_KEY is set',
      'take one of them away: keys are set, or the platform gives some',
    )
  if (!bucket || (!isWorkload && (!accessKey || !secretKey))) {
    throw new StartupError(
      'BERTH_S3_ENDPOINT is set, but not all of BERTH_S3_BUCKET, BERTH_S3_ACCESS_KEY and BERTH_S3_SECRET_KEY',
      'set all four, or BERTH_S3_CREDENTIALS=workload where the platform gives the keys',
    )
  }
  const idleTimeoutMs = settings.s3TimeoutSeconds === undefined ? undefined : settings.s3TimeoutSeconds * 1000
  return createS3Store({ endpoint, bucket, accessKey, secretKey, idleTimeoutMs, hear, ...(region ? { region } : {}) })
}
