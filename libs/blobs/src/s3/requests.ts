import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from 'minio'
import { BlobStoreError } from '../store/errors.ts'
import { isMissingKey, isTransient, RequestFailed, s3Failure } from './failure.ts'
import { createTransport, oneRequest, type Transport } from './transport.ts'
import { createWorkloadIdentity } from './workload-identity.ts'

export type S3Options = {
  /** `http://host:9000` or `https://…`, without a path. */
  endpoint: string
  bucket: string
  /** Both, or neither: then keys come from the platform that this runs on (`createWorkloadIdentity`). */
  accessKey?: string | undefined
  secretKey?: string | undefined
  /** `us-east-1` unless set; matters on AWS. */
  region?: string | undefined
  /** The origin at which clients reach presigned URLs, where it is not `endpoint`. */
  publicEndpoint?: string | undefined
  /** `https://bucket.host/key` instead of `https://host/bucket/key`. */
  virtualHosts?: boolean | undefined
  /** How long nothing may move on a connection before it counts as dead; 30 s unless set. */
  idleTimeoutMs?: number | undefined
  /** How often a request is tried again after a failure that may pass, within `idleTimeoutMs`; 4 times unless set. */
  retries?: number | undefined
}

type RequestOptions = { signal?: AbortSignal | undefined; streams?: boolean }

export type S3 = {
  readonly bucket: string
  readonly region: string
  readonly idleTimeoutMs: number
  readonly retries: number
  /** Does one request: aborted by the signal, timed, tried again, its failures translated. */
  run<T>(what: string, options: RequestOptions, request: (client: Client) => Promise<T>): Promise<T>
  /** As `run`, with `undefined` for a key that is not there. A missing bucket is a failure, not absence. */
  find<T>(what: string, options: RequestOptions, request: (client: Client) => Promise<T>): Promise<T | undefined>
  presign(key: string, ttlSeconds: number): Promise<string>
  close(): void
}

export function connectS3(options: S3Options): S3 {
  const { bucket, region = 'us-east-1', idleTimeoutMs = 30_000, retries = 4 } = options
  const transport = createTransport(endpointOf(options.endpoint).protocol, idleTimeoutMs)
  const client = lazyClient(options, options.endpoint, region, transport)
  const presigner = lazyClient(options, options.publicEndpoint ?? options.endpoint, region, transport)

  const retried = async <T>({ signal, streams = false }: RequestOptions, request: (client: Client) => Promise<T>) => {
    const begunAt = performance.now()
    for (let tries = 0; ; tries += 1) {
      try {
        return await oneRequest(signal, streams, async () => request(await client()))
      } catch (failure) {
        // A server that hangs is not waited for as often as one that refuses, because a client waits.
        const isLate = performance.now() - begunAt >= idleTimeoutMs
        if (tries >= retries || isLate || !(failure instanceof RequestFailed) || !isTransient(failure)) throw failure
        await pause(tries, signal)
      }
    }
  }
  const assertBucket = createBucketCheck(bucket, (signal) => retried({ signal }, (c) => c.bucketExists(bucket)))

  return {
    bucket,
    region,
    idleTimeoutMs,
    retries,
    run: (what, how, request) => translated(what, () => retried(how, request)),
    find: (what, how, request) =>
      translated(what, async () => {
        try {
          return await retried(how, request)
        } catch (failure) {
          if (!(failure instanceof RequestFailed) || !isMissingKey(failure)) throw failure
          if (failure.code !== 'NoSuchKey') await assertBucket(what, how.signal)
          return undefined
        }
      }),
    presign: async (key, ttlSeconds) => (await presigner()).presignedGetObject(bucket, key, ttlSeconds),
    close: () => transport.close(),
  }
}

/** Waits before the next try: 100 ms, doubled each time up to 5 s, with half of it left to chance. */
export async function pause(tries: number, signal: AbortSignal | undefined): Promise<void> {
  const ceilingMs = Math.min(5_000, 100 * 2 ** tries)
  try {
    await delay(ceilingMs / 2 + (Math.random() * ceilingMs) / 2, undefined, { ...(signal && { signal }) })
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
}

async function translated<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (failure) {
    throw s3Failure(what, failure)
  }
}

// An answer to HEAD does not say whether the key or its bucket is missing, so the bucket is asked for, now and then.
function createBucketCheck(bucket: string, exists: (signal: AbortSignal | undefined) => Promise<boolean>) {
  const trustedMs = 10_000
  let seenAt = Number.NEGATIVE_INFINITY
  return async (what: string, signal: AbortSignal | undefined): Promise<void> => {
    if (performance.now() - seenAt < trustedMs) return
    if (!(await exists(signal))) {
      throw new BlobStoreError('misconfigured', `cannot ${what}: there is no bucket ${bucket}; create it`)
    }
    seenAt = performance.now()
  }
}

function endpointOf(endpoint: string): URL {
  const url = URL.parse(endpoint)
  const isOrigin = url && /^https?:$/.test(url.protocol) && url.pathname === '/' && !url.search && !url.username
  if (isOrigin) return url
  throw new BlobStoreError('misconfigured', 'the S3 endpoint must be an origin such as https://s3.example.org:9000')
}

async function keysOf({ accessKey, secretKey }: S3Options, minio: Parameters<typeof createWorkloadIdentity>[0]) {
  if (accessKey !== undefined && secretKey !== undefined) return { accessKey, secretKey }
  return { credentialsProvider: await createWorkloadIdentity(minio) }
}

// The client library is loaded when a bucket is used: a store in a directory goes without its heap, which makes every
// collection of garbage longer.
function lazyClient(options: S3Options, endpoint: string, region: string, transport: Transport): () => Promise<Client> {
  const url = endpointOf(endpoint)
  let client: Promise<Client> | undefined
  const load = async () => {
    const minio = await import('minio')
    return new minio.Client({
      endPoint: url.hostname,
      ...(url.port && { port: Number(url.port) }),
      useSSL: url.protocol === 'https:',
      ...(await keysOf(options, minio)),
      // With a region given, no request is spent on asking for it.
      region,
      pathStyle: !options.virtualHosts,
      transport,
      // Its own retry writes to the console and repeats streams that are spent; ours is in `connectS3`.
      retryOptions: { disableRetry: true },
    })
  }
  return () => (client ??= load())
}
