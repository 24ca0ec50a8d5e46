export {
  BlobStoreError,
  type BlobStoreErrorCode,
  BlobTooLarge,
  DigestMismatch,
  PartInterrupted,
  SizeMismatch,
} from './errors.ts'
export { createFileSystemStore } from './file-system/store.ts'
export type {
  BlobKey,
  BlobStat,
  BlobStore,
  OpenBlob,
  PartOptions,
  ReadOptions,
  StagedLeftover,
  StagedPart,
  WriteOptions,
} from './store.ts'
