import { randomUUID } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { Client } from 'minio'
import { blobStoreContract } from './contract/contract.ts'
import { chunksOf, freshBlob, type Subject } from './contract/subject.ts'
import { askForRange } from './s3/ask-for-range.ts'
import { RangeAnswer } from './s3/read-connections.ts'
import { connectS3 } from './s3/requests.ts'
import { createS3Store } from './s3/store.ts'
import { blobPath } from './store/paths.ts'

const {
  BERTH_TEST_S3_ENDPOINT: endpoint = '',
  BERTH_TEST_S3_BUCKET: bucketPrefix = 'berth-test',
  BERTH_TEST_S3_ACCESS_KEY: accessKey = '',
  BERTH_TEST_S3_SECRET_KEY: secretKey = '',
} = process.env

const inNewBucket = () => ({
  endpoint,
  accessKey,
  secretKey,
  bucket: `${bucketPrefix.slice(0, 40)}-blobs-${randomUUID().slice(0, 8)}`,
})

async function start(options = inNewBucket()): Promise<Subject> {
  const { bucket } = options
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
const noServer = 'no S3 server; set BERTH_TEST_S3_ENDPOINT, _ACCESS_KEY and _SECRET_KEY'
blobStoreContract('an S3 blob store', start, isReachable ? undefined : noServer)

const testReachable = isReachable ? test : test.skip
testReachable('ranges of the server itself are plain: they are read through connections of our own', async () => {
  const options = inNewBucket()
  const subject = await start(options)
  const { store } = subject
  const s3 = connectS3(options)
  try {
    await store.check()
    const { bytes, key } = freshBlob(100)
    await store.write(key, chunksOf(bytes))
    const object = { key: blobPath(key), name: key.digest }
    const answer = await askForRange(s3, object, { start: 10, end: 99 }, undefined)
    expect(answer).toBeInstanceOf(RangeAnswer)
    if (answer instanceof RangeAnswer) expect((await answer.next())?.equals(bytes.subarray(10))).toBe(true)
  } finally {
    s3.close()
    await subject.close()
  }
})
