import type { NoteName } from '../store/store.ts'
import { readObject } from './read-object.ts'
import type { S3 } from './requests.ts'

/** Puts a small text into the bucket under its name. */
export async function putNote(s3: S3, name: string, text: string): Promise<void> {
  await s3.run(`write ${name}`, {}, (client) =>
    client.makeRequestAsyncOmit(
      { method: 'PUT', bucketName: s3.bucket, objectName: name, headers: {} },
      Buffer.from(text),
    ),
  )
}

/** A small text of the bucket, `undefined` when it is not there. */
export async function getNote(s3: S3, name: NoteName): Promise<string | undefined> {
  const found = await s3.find(`look up ${name}`, {}, (client) => client.statObject(s3.bucket, name))
  if (!found) return undefined
  const object = { key: name, name, sizeBytes: found.size }
  const chunks = await Array.fromAsync(readObject(s3, object, { start: 0, end: found.size - 1 }))
  return Buffer.concat(chunks).toString('utf8')
}
