import type { BlobStore } from '@berth/blobs'
import { bucketTarget, requireFreeInBucket } from './bucket-target.ts'
import { directoryTarget } from './directory-target.ts'
import type { Export } from './export-row.ts'
import type { Target } from './target.ts'

type Wanted = Pick<Export, 'id' | 'target' | 'path' | 'chunkBytes'>

/** The places that exports are written to; a download is written nowhere. */
export function openTargets({ blobs, transferDirectory }: { blobs: BlobStore; transferDirectory: string | undefined }) {
  return {
    transferDirectory,
    requireFreeInBucket: (path: string) => requireFreeInBucket(blobs, path),
    targetOf: ({ id, target, path, chunkBytes }: Wanted, fence: number): Target | undefined => {
      if (target === 'download' || path === null) return undefined
      const wanted = { id, path, chunkBytes }
      return target === 'directory'
        ? directoryTarget(transferDirectory, { ...wanted, fence })
        : bucketTarget(blobs, wanted)
    },
  }
}
