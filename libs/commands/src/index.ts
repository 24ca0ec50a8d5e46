export type { AccessObjectRow, ListAccessObjects } from './access-objects.ts'
export type { AuthCommands } from './auth.ts'
export { callers } from './callers.ts'
export type { CatalogCommands } from './catalog.ts'
export { type CommandClient, type CommandHandlers, commandHandlers, commandsOf } from './client.ts'
export type {
  LastPull,
  LeasedBlob,
  ManifestRecord,
  ManifestSignature,
  OmittedChild,
  RepositoryHead,
  StoredBlob,
  TagChanges,
  VersionCause,
} from './content.ts'
export type { OperationCommands } from './operations.ts'
export type { IsolatedRepository, RegistryCommands } from './registry.ts'
export { checkRequiredSignatures, type RequiredSignatures } from './required-signatures.ts'
export type {
  KeptTrigger,
  PullTrigger,
  ServedDistribution,
  ServedHead,
  ServedPullThrough,
  ServedRow,
} from './served.ts'
export { type SyncCommands, storedGeneration } from './sync.ts'
export {
  type ClaimedTask,
  type Task,
  type TaskError,
  type TaskLine,
  type TaskLines,
  type TaskObject,
  type TaskProgress,
  type TaskState,
  type TasksCommands,
} from './tasks.ts'
