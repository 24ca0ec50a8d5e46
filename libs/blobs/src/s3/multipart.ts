import { BlobStoreError, BlobTooLarge } from '../store/errors.ts'
import type { S3 } from './requests.ts'

/** Each part is held in memory until it is stored, for its retries; S3 takes none smaller than 5 MiB but the last. */
export const partBytes = 8 << 20
/** S3 takes no more parts than this in one object. */
const partLimit = 10_000

export type UploadedPart = { part: number; etag: string }

/** A multipart upload under way: nothing is visible under the key before `complete`. */
export type Multipart = {
  put(number: number, bytes: Buffer, signal: AbortSignal | undefined): Promise<UploadedPart>
  /** Has the server take the part from another object. */
  copy(number: number, sourceKey: string, start: number, end: number, signal?: AbortSignal): Promise<UploadedPart>
  complete(parts: readonly UploadedPart[], sizeBytes: number, signal: AbortSignal | undefined): Promise<void>
  /** Best effort: what it leaves behind is listed by `walkStaged`. */
  abort(): Promise<void>
}

export async function startMultipart(s3: S3, key: string, signal: AbortSignal | undefined): Promise<Multipart> {
  const { bucket } = s3
  const what = `store ${key}`
  const uploadID = await s3.run(what, { signal }, (c) => c.initiateNewMultipartUpload(bucket, key, {}))

  const part = async (number: number, headers: Record<string, string>, bytes: Buffer | '', how?: AbortSignal) => {
    if (number > partLimit) throw new BlobTooLarge(partLimit * partBytes)
    const config = { bucketName: bucket, objectName: key, uploadID, partNumber: number, headers }
    const { etag } = await s3.run(what, { signal: how }, (c) => c.uploadPart(config, bytes))
    return { part: number, etag }
  }

  return {
    put: (number, bytes, how) => part(number, {}, bytes, how),
    copy: (number, sourceKey, start, end, how) =>
      part(
        number,
        { 'x-amz-copy-source': `/${bucket}/${sourceKey}`, 'x-amz-copy-source-range': `bytes=${start}-${end}` },
        '',
        how,
      ),
    async complete(parts, sizeBytes, how) {
      const ordered = [...parts].sort((a, b) => a.part - b.part)
      try {
        await s3.run(what, { signal: how }, (c) => c.completeMultipartUpload(bucket, key, uploadID, ordered))
      } catch (error) {
        // An answer that got lost makes the second try find no upload: then the object says whether the first one won.
        if (!(error instanceof BlobStoreError) || error.code !== 'conflict') throw error
        const found = await s3.find(what, { signal: how }, (c) => c.statObject(bucket, key))
        if (found?.size !== sizeBytes) throw error
      }
    },
    async abort() {
      await Promise.allSettled([s3.run(what, {}, (c) => c.abortMultipartUpload(bucket, key, uploadID))])
    },
  }
}
