import { randomUUID } from 'node:crypto'
import { BlobStoreError } from '../store/errors.ts'
import { writePath } from '../store/paths.ts'
import { startMultipart } from './multipart.ts'
import { putNote } from './notes.ts'
import { readObject } from './read-object.ts'
import type { S3 } from './requests.ts'
import { removeObject } from './walk.ts'

/** Makes the bucket if it is missing, and goes once through every kind of request that the store needs. */
export async function testBucket(s3: S3): Promise<void> {
  const { bucket } = s3
  const what = `use bucket ${bucket} as a blob store`
  if (!(await s3.run(what, {}, (client) => client.bucketExists(bucket)))) await makeBucket(s3)
  const text = randomUUID()
  const key = writePath(`check-${text}`)
  await putNote(s3, key, text)
  try {
    const chunks = await Array.fromAsync(
      readObject(s3, { key, name: key, sizeBytes: text.length }, { start: 0, end: text.length - 1 }),
    )
    if (Buffer.concat(chunks).toString() !== text) {
      throw new BlobStoreError('damaged', `bucket ${bucket} does not give back what was written; check its server`)
    }
    const multipart = await startMultipart(s3, key, undefined)
    await multipart.abort()
  } finally {
    await removeObject(s3, key)
  }
}

async function makeBucket(s3: S3): Promise<void> {
  const { bucket, region } = s3
  try {
    await s3.run(`make bucket ${bucket}`, {}, (client) => client.makeBucket(bucket, region))
  } catch (error) {
    // Another replica may have made it a moment ago.
    if (await s3.run(`make bucket ${bucket}`, {}, (client) => client.bucketExists(bucket))) return
    throw error
  }
}
