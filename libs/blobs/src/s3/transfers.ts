import type { S3 } from './requests.ts'
import { discardPart, listObjects, listUploads, removeObject } from './walk.ts'

/** Whether an object is there, or any below it. */
export async function hasTransfers(s3: S3, path: string): Promise<boolean> {
  if (await s3.find(`look up ${path}`, {}, (client) => client.statObject(s3.bucket, path))) return true
  const first = await listObjects(s3, `${path}/`).next()
  return first.done !== true
}

/** Removes an object and all below it, with uploads of them that were not ended; `false` when there were none. */
export async function removeTransfers(s3: S3, path: string): Promise<boolean> {
  let removed = await removeObject(s3, path)
  for await (const { name } of listObjects(s3, `${path}/`)) removed = (await removeObject(s3, name)) || removed
  for await (const { name } of listUploads(s3, '')) {
    if (name !== path && !name.startsWith(`${path}/`)) continue
    await discardPart(s3, name)
    removed = true
  }
  return removed
}
