import { blobPath } from './paths.ts'
import type { BlobKey, PendingKey } from './store.ts'

/** The key once its generation is known. A malformed digest is refused at once. */
export function blobKeyOf({ digest, generation }: PendingKey): Promise<BlobKey> {
  blobPath({ digest, generation: 1 })
  return Promise.resolve(generation).then((known) => ({ digest, generation: known }))
}
