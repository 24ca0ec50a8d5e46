import { setTimeout as delay } from 'node:timers/promises'
import type { IamAwsProvider } from 'minio'
import { BlobStoreError } from '../store/errors.ts'

type Minio = { IamAwsProvider: typeof IamAwsProvider }

// The client of a token service would wait for one that hangs for ever.
const longestAnswerMs = 15_000

/**
 * Gets keys for a bucket from the platform that Berth runs on, as programs of AWS do: a web identity token (IAM roles for service accounts), the agent of EKS
 * or ECS, or the machine's metadata. They are got once for all that wait, and again five minutes before they end. Failures are `BlobStoreError`s.
 */
export async function createWorkloadIdentity(minio: Minio): Promise<IamAwsProvider> {
  // Only where it is wanted: it takes some megabytes of memory.
  const { defaultProvider } = await import('@aws-sdk/credential-provider-node')
  const provide = defaultProvider()
  type Keys = Awaited<ReturnType<IamAwsProvider['getCredentials']>>
  // The client of the bucket takes none but providers of its own making, and those know fewer platforms.
  class WorkloadIdentity extends minio.IamAwsProvider {
    override async getCredentials(): Promise<Keys> {
      try {
        const { accessKeyId, secretAccessKey, sessionToken = '' } = await within(provide())
        const keys: Pick<Keys, 'getAccessKey' | 'getSecretKey' | 'getSessionToken'> = {
          getAccessKey: () => accessKeyId,
          getSecretKey: () => secretAccessKey,
          getSessionToken: () => sessionToken,
        }
        return keys as Keys
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause)
        throw new BlobStoreError(
          'denied',
          `no keys from the workload identity (${why}); check the role of the service account`,
          { cause },
        )
      }
    }
  }
  return new WorkloadIdentity({})
}

async function within<T>(asked: Promise<T>): Promise<T> {
  const over = new AbortController()
  const late = delay(longestAnswerMs, undefined, { signal: over.signal }).then(() => {
    throw new Error(`no answer within ${longestAnswerMs / 1_000} s`)
  })
  late.catch(() => 'told by the race, or over')
  try {
    return await Promise.race([asked, late])
  } finally {
    over.abort()
  }
}
