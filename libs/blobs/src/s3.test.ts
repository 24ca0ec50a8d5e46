import { randomUUID } from 'node:crypto'
import { Client } from 'minio'
import { blobStoreContract } from './contract/contract.ts'
import type { Subject } from './contract/subject.ts'
import { createS3Store } from './s3/store.ts'
import { blobPath } from './store/paths.ts'

const {
  BERTH_TEST_S3_ENDPOINT: endpoint = '',
  BERTH_TEST_S3_BUCKET: bucketPrefix = 'berth-test',
  BERTH_TEST_S3_ACCESS_KEY: accessKey = '',
  BERTH_TEST_S3_SECRET_KEY: secretKey = '',
} = process.env

async function start(): Promise<Subject> {
  const bucket = `${bucketPrefix.slice(0, 40)}-blobs-${randomUUID().slice(0, 8)}`
  const options = { endpoint, accessKey, secretKey, bucket }
  const store = createS3Store(options)
  const broken = {
    'wrong secret': createS3Store({ ...options, secretKey: 'wrong-secret' }),
    'no such bucket': createS3Store({ ...options, bucket: `${bucket}-none` }),
    'no such server': createS3Store({ ...options, endpoint: 'http://127.0.0.1:9', retries: 1 }),
  }
  const { hostname, port, protocol } = new URL(endpoint)
  const useSSL = protocol === 'https:'
  const client = new Client({
    endPoint: hostname,
    ...(port && { port: Number(port) }),
    useSSL,
    accessKey,
    secretKey,
  })
  return {
    store,
    broken,
    damage: async (key, bytes) => void (await client.putObject(bucket, blobPath(key), Buffer.from(bytes))),
    async close() {
      for await (const key of store.walk()) await store.remove(key)
      await Promise.all([store, ...Object.values(broken)].map((each) => each.close()))
      await client.removeObject(bucket, 'berth-cleaner.json')
      await client.removeBucket(bucket)
    },
  }
}

const isReachable = endpoint && accessKey && secretKey
blobStoreContract(
  'an S3 blob store',
  start,
  isReachable ? undefined : 'no S3 server; set BERTH_TEST_S3_ENDPOINT, _ACCESS_KEY and _SECRET_KEY',
)
