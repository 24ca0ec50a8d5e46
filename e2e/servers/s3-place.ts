import { randomUUID } from 'node:crypto'

/** A bucket of an S3 server that runs already. */
export type S3Place = { endpoint: string; bucket: string; accessKey: string; secretKey: string }

/**
 * A bucket of the S3 server that the tests share, one of its own unless named, as a store has one owner; `undefined` where
 * there is no such server.
 */
export function testS3Place(bucket = `berth-test-${randomUUID()}`): S3Place | undefined {
  const { BERTH_TEST_S3_ENDPOINT: endpoint, BERTH_TEST_S3_ACCESS_KEY: accessKey } = process.env
  const secretKey = process.env.BERTH_TEST_S3_SECRET_KEY
  if (!endpoint || !accessKey || !secretKey) return undefined
  return { endpoint, bucket, accessKey, secretKey }
}
