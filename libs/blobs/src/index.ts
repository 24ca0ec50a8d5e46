export { measureDisks, refuseBelowReserve, reserveNotes } from './disk-state.ts'
export { createFileSystemStore } from './file-system/store.ts'
export {
  checkStoreIdentity,
  emptyStore,
  foreignStore,
  readStoreIdentity,
  storeIdentityTable,
  writeStoreIdentity,
} from './identity.ts'
export { journalOf, replayBlobJournals } from './journal-of.ts'
export { type BlobSettings, blobSettings, logHealing, openBlobStore } from './open.ts'
export { ownStoreSettings, withOwnStore } from './own-store.ts'
export type { S3Options } from './s3/requests.ts'
export { createS3Store } from './s3/store.ts'
export {
  BlobStoreError,
  type BlobStoreErrorCode,
  BlobTooLarge,
  DigestMismatch,
  PartInterrupted,
  SizeMismatch,
} from './store/errors.ts'
export type {
  BlobKey,
  BlobStat,
  BlobStore,
  Disk,
  DiskState,
  FirstRead,
  HealingReport,
  OpenBlob,
  PartOptions,
  ReadOptions,
  StagedLeftover,
  StagedPart,
  WriteOptions,
} from './store/store.ts'
