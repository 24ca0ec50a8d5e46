import { startMultipart, type UploadedPart } from './multipart.ts'
import type { S3 } from './requests.ts'

/** S3 copies up to 5 GiB in one request; smaller ranges answer sooner than any timeout and run side by side. */
const copyRangeBytes = 512 << 20
const copiesUnderWay = 4

/** Has the server copy an object. */
export async function copyObject(
  s3: S3,
  from: string,
  to: string,
  sizeBytes: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (sizeBytes <= copyRangeBytes) {
    const { bucket } = s3
    await s3.run(`copy ${from} to ${to}`, { signal }, (c) => c.copyObject(bucket, to, `/${bucket}/${from}`))
    return
  }
  const multipart = await startMultipart(s3, to, signal)
  try {
    const parts: UploadedPart[] = []
    const count = Math.ceil(sizeBytes / copyRangeBytes)
    let next = 0
    const lane = async () => {
      while (next < count) {
        const start = next * copyRangeBytes
        next += 1
        const end = Math.min(start + copyRangeBytes, sizeBytes) - 1
        parts.push(await multipart.copy(start / copyRangeBytes + 1, from, start, end, signal))
      }
    }
    // All have to be done before an abort, or a late one would leave its range behind on the server.
    const lanes = await Promise.allSettled(Array.from({ length: copiesUnderWay }, lane))
    for (const outcome of lanes) if (outcome.status === 'rejected') throw outcome.reason
    await multipart.complete(parts, sizeBytes, signal)
  } catch (error) {
    await multipart.abort()
    throw error
  }
}
