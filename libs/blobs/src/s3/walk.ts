import { blobsFolder, keyOfBlobPath, partIdOfName, stagingFolder } from '../store/paths.ts'
import type { BlobKey, BlobStat, StagedLeftover } from '../store/store.ts'
import type { S3 } from './requests.ts'

type Listed = { name: string; sizeBytes: number; modifiedAt: Date }

/** Every blob in the bucket. Objects that are no blobs of ours are passed over. */
export async function* walkBlobs(s3: S3, signal?: AbortSignal): AsyncGenerator<BlobKey & BlobStat> {
  for await (const { name, sizeBytes, modifiedAt } of listObjects(s3, `${blobsFolder}/`, signal)) {
    const key = keyOfBlobPath(name)
    if (key) yield { ...key, sizeBytes, modifiedAt }
  }
}

/** Staged objects, and multipart uploads that were not ended, begun before `olderThan`. */
export async function* walkLeftovers(s3: S3, olderThan: Date, signal?: AbortSignal): AsyncGenerator<StagedLeftover> {
  for await (const { name, modifiedAt } of listObjects(s3, `${stagingFolder}/`, signal)) {
    if (modifiedAt >= olderThan) continue
    yield { partId: partIdOf(name), name, modifiedAt, discard: () => removeObject(s3, name) }
  }
  for await (const { name, uploadId, modifiedAt } of listUploads(s3, '', signal)) {
    const ours = name.startsWith(`${stagingFolder}/`) || name.startsWith(`${blobsFolder}/`)
    if (!ours || modifiedAt >= olderThan) continue
    yield {
      partId: partIdOf(name),
      name: `${name}?uploadId=${uploadId}`,
      modifiedAt,
      discard: () => abortUpload(s3, name, uploadId),
    }
  }
}

/** `false` when it was absent. */
export async function removeObject(s3: S3, name: string): Promise<boolean> {
  const what = `remove ${name}`
  // S3 answers a DELETE of nothing as it does one of something.
  const found = await s3.find(what, {}, (client) => client.statObject(s3.bucket, name))
  if (!found) return false
  await s3.run(what, {}, (client) => client.removeObject(s3.bucket, name))
  return true
}

/** Removes a staged part in whatever state it is. */
export async function discardPart(s3: S3, name: string): Promise<void> {
  await removeObject(s3, name)
  for await (const upload of listUploads(s3, name)) {
    if (upload.name === name) await abortUpload(s3, name, upload.uploadId)
  }
}

async function abortUpload(s3: S3, name: string, uploadId: string): Promise<boolean> {
  const aborted = await s3.find(`abort the upload of ${name}`, {}, async (client) => {
    await client.abortMultipartUpload(s3.bucket, name, uploadId)
    return true
  })
  return aborted ?? false
}

function partIdOf(name: string): string | undefined {
  return partIdOfName(name.slice(stagingFolder.length + 1))
}

/** All objects under a prefix. */
export async function* listObjects(s3: S3, prefix: string, signal?: AbortSignal): AsyncGenerator<Listed> {
  for (let token = ''; ; ) {
    const page = await s3.run(`list ${prefix}`, { signal }, (client) =>
      client.listObjectsV2Query(s3.bucket, prefix, token, '', 1000, ''),
    )
    for (const { name, size, lastModified } of page.objects) {
      if (name && size !== undefined && lastModified) yield { name, sizeBytes: size, modifiedAt: lastModified }
    }
    if (!page.isTruncated) return
    token = page.nextContinuationToken
  }
}

type Upload = { name: string; uploadId: string; modifiedAt: Date }

// MinIO lists uploads for the empty prefix or an exact key only.
export async function* listUploads(s3: S3, prefix: string, signal?: AbortSignal): AsyncGenerator<Upload> {
  for (let [keyMarker, uploadIdMarker] = ['', '']; ; ) {
    const page = await s3.run(`list uploads`, { signal }, (client) =>
      client.listIncompleteUploadsQuery(s3.bucket, prefix, keyMarker, uploadIdMarker, ''),
    )
    for (const { key, uploadId, initiated } of page.uploads) {
      yield { name: key, uploadId, modifiedAt: initiated }
    }
    if (!page.isTruncated) return
    keyMarker = page.nextKeyMarker
    uploadIdMarker = page.nextUploadIdMarker
  }
}
