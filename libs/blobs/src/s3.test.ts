import { randomUUID } from 'node:crypto'
import { describe, test } from '@jest/globals'
import { blobStoreContract } from './contract/contract.ts'
import { createS3Store } from './s3/store.ts'

const { BERTH_TEST_S3_ENDPOINT: endpoint, BERTH_TEST_S3_ACCESS_KEY: accessKey } = process.env
const { BERTH_TEST_S3_BUCKET: bucketPrefix = 'berth-test', BERTH_TEST_S3_SECRET_KEY: secretKey } = process.env

if (endpoint && accessKey && secretKey) {
  blobStoreContract('an S3 blob store', async () => {
    const options = { endpoint, accessKey, secretKey, bucket: `${bucketPrefix}-blobs-${randomUUID().slice(0, 8)}` }
    const store = createS3Store(options)
    const broken = {
      'wrong secret': createS3Store({ ...options, secretKey: 'wrong-secret' }),
      'no such bucket': createS3Store({ ...options, bucket: `${options.bucket}-none` }),
      'no such server': createS3Store({ ...options, endpoint: 'http://127.0.0.1:9', retries: 1 }),
    }
    return {
      store,
      broken,
      async close() {
        for await (const key of store.walk()) await store.remove(key)
        await Promise.all([store, ...Object.values(broken)].map((each) => each.close()))
      },
    }
  })
} else {
  describe('an S3 blob store: SKIPPED, no S3 server: set BERTH_TEST_S3_ENDPOINT, _ACCESS_KEY, _SECRET_KEY', () => {
    test.todo('keeps the blob store contract')
  })
}
