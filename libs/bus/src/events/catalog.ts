import { defineEvent } from './event.ts'
import { count, digest, names, owner, repository, text, uuid } from './fields.ts'

export type RepositoryCreated = {
  repositoryId: string
  name: string
  description: string
  labels: Record<string, string>
  ownerId?: string | null
}
export const repositoryCreated = defineEvent<RepositoryCreated>(
  'catalog',
  'repository.created',
  'A repository was made.',
  {
    ...repository,
    description: text,
    labels: { type: 'object', additionalProperties: text },
    ownerId: owner,
  },
  // Events that were recorded before there were any may still be on their way.
  ['ownerId'],
)

export type RepositoryUpdated = Omit<RepositoryCreated, 'ownerId'> & {
  immutableTags: string[]
  sparseIndexes: boolean
  retainVersions: number | null
  retention?: object | null
  /** Whether what comes from upstream has to be signed. */
  requiresSignatures?: boolean
}
export const repositoryUpdated = defineEvent<RepositoryUpdated>(
  'catalog',
  'repository.updated',
  'The settings of a repository were changed.',
  {
    ...repository,
    description: text,
    labels: { type: 'object', additionalProperties: text },
    immutableTags: { type: 'array', items: text },
    sparseIndexes: { type: 'boolean' },
    retainVersions: { type: ['integer', 'null'] },
    retention: { type: ['object', 'null'] },
    requiresSignatures: { type: 'boolean' },
  },
  // Events that were recorded before there was any may still be on their way.
  ['retention', 'requiresSignatures'],
)

export type RepositoryDeleted = { repositoryId: string; name: string; ownerId?: string | null }
export const repositoryDeleted = defineEvent<RepositoryDeleted>(
  'catalog',
  'repository.deleted',
  'A repository and its versions were deleted.',
  { ...repository, ownerId: owner },
  ['ownerId'],
)

export type VersionCreated = {
  repositoryId: string
  name: string
  number: number
  /** Numbers every served change of the repository. */
  revision: number
  base: number
  cause: string
  taskId: string | null
  added: ContentCounts
  removed: ContentCounts
  contentHash: string
}
type ContentCounts = { tags: number; manifests: number; blobs: number; signatures?: number }
const counts = {
  type: 'object',
  additionalProperties: false,
  properties: { tags: count, manifests: count, blobs: count, signatures: count },
  // Without `signatures`: events that were recorded before there were any may still be on their way.
  required: ['tags', 'manifests', 'blobs'],
}
export const versionCreated = defineEvent<VersionCreated>(
  'catalog',
  'version.created',
  'A repository has a new version.',
  {
    ...repository,
    number: count,
    revision: count,
    base: count,
    cause: text,
    taskId: { anyOf: [uuid, { type: 'null' }] },
    added: counts,
    removed: counts,
    contentHash: text,
  },
)

export type VersionDeleted = { repositoryId: string; name: string; number: number; revision: number }
export const versionDeleted = defineEvent<VersionDeleted>(
  'catalog',
  'version.deleted',
  'A version was deleted, by hand or because newer ones are enough.',
  { ...repository, number: count, revision: count },
)

export type VersionRolledBack = { repositoryId: string; name: string; number: number; to: number }
export const versionRolledBack = defineEvent<VersionRolledBack>(
  'catalog',
  'version.rolledback',
  'A new version has the content of an old one.',
  {
    ...repository,
    number: count,
    to: count,
  },
)

export type TagsMoved = {
  repositoryId: string
  name: string
  version: number
  tags: { tag: string; from?: string; to?: string }[]
  total: number
}
export const tagsMoved = defineEvent<TagsMoved>(
  'catalog',
  'tag.moved',
  'Tags of a repository point elsewhere; the first 1,000 are named.',
  {
    ...repository,
    version: count,
    tags: {
      type: 'array',
      maxItems: names.maxItems,
      items: {
        type: 'object',
        additionalProperties: false,
        properties: { tag: text, from: digest, to: digest },
        required: ['tag'],
      },
    },
    total: count,
  },
)

/** `repositoryId` is null where what is served comes from a host when it is pulled. `via`: the distribution by which this one came. */
export type DistributionPointed = {
  id: string
  basePath: string
  repositoryId: string | null
  version: number | null
  via?: string | null
  ownerId?: string | null
}
export const distributionPointed = defineEvent<DistributionPointed>(
  'catalog',
  'distribution.pointed',
  'A distribution serves another repository or version.',
  {
    id: uuid,
    basePath: text,
    repositoryId: { type: ['string', 'null'], format: 'uuid' },
    version: { type: ['integer', 'null'] },
    via: { type: ['string', 'null'], format: 'uuid' },
    ownerId: owner,
  },
  ['via', 'ownerId'],
)

export type DistributionDeleted = { id: string; basePath: string; ownerId?: string | null }
export const distributionDeleted = defineEvent<DistributionDeleted>(
  'catalog',
  'distribution.deleted',
  'A distribution was deleted; its repository stays.',
  {
    id: uuid,
    basePath: text,
    ownerId: owner,
  },
  ['ownerId'],
)

export type StoreCollected = {
  runId: string
  cause: 'interval' | 'request'
  taskId: string | null
  removed: number
  removedBytes: number
  orphans: number
  orphanBytes: number
  notFound: number
  failed: number
}
export const storeCollected = defineEvent<StoreCollected>(
  'catalog',
  'store.collected',
  'A run of the collector removed something, or was asked for and ended.',
  {
    runId: uuid,
    cause: { enum: ['interval', 'request'] },
    taskId: { anyOf: [uuid, { type: 'null' }] },
    removed: count,
    removedBytes: count,
    orphans: count,
    orphanBytes: count,
    notFound: count,
    failed: count,
  },
)

export type NamespaceChanged = {
  name: string
  defaultAccess: string
  quotaBytes: number | null
  labels: Record<string, string>
  retention: object | null
}
const namespace = {
  name: text,
  defaultAccess: text,
  quotaBytes: { type: ['integer', 'null'] },
  labels: { type: 'object', additionalProperties: text },
  retention: { type: ['object', 'null'] },
}
export const namespaceCreated = defineEvent<NamespaceChanged>(
  'catalog',
  'namespace.created',
  'Something was set about a namespace for the first time.',
  namespace,
)
export const namespaceUpdated = defineEvent<NamespaceChanged>(
  'catalog',
  'namespace.updated',
  'The settings of a namespace were changed.',
  namespace,
)
export const namespaceDeleted = defineEvent<{ name: string }>(
  'catalog',
  'namespace.deleted',
  'The settings of a namespace were deleted; its repositories stay.',
  { name: text },
)

export const blobRepaired = defineEvent<{ digest: string }>(
  'catalog',
  'blob.repaired',
  'Bytes that were missing or rotten are here again, and served.',
  { digest },
)

export type BlobDamaged = { digest: string; damage: 'missing' | 'rotten' }
export const blobDamaged = defineEvent<BlobDamaged>(
  'catalog',
  'blob.damaged',
  'Stored bytes were found missing or rotten, and are no longer served.',
  { digest, damage: { enum: ['missing', 'rotten'] } },
)

export type ExportCompleted = {
  exportId: string
  taskId: string
  /** Null where an OCI layout was written, which is no archive. */
  archiveDigest: string | null
  indexDigest: string
  repositories: number
  blobs: number
  bytes: number
}
export const exportCompleted = defineEvent<ExportCompleted>(
  'catalog',
  'export.completed',
  'Repositories were exported; the counts are of what is carried.',
  {
    exportId: uuid,
    taskId: uuid,
    archiveDigest: { anyOf: [digest, { type: 'null' }] },
    indexDigest: digest,
    repositories: count,
    blobs: count,
    bytes: count,
  },
)

export type ImportCompleted = {
  importId: string
  taskId: string
  /** The installation that it comes from; null where another tool made the archive. */
  origin: string | null
  /** Of very many as many as fit. */
  repositories: string[]
  blobs: number
  bytes: number
}
export const importCompleted = defineEvent<ImportCompleted>(
  'catalog',
  'import.completed',
  'An archive was imported; its repositories are served.',
  {
    importId: uuid,
    taskId: uuid,
    origin: { anyOf: [uuid, { type: 'null' }] },
    repositories: names,
    blobs: count,
    bytes: count,
  },
)

export type ImportFailed = { importId: string; taskId: string; code: string; reason: string }
export const importFailed = defineEvent<ImportFailed>(
  'catalog',
  'import.failed',
  'An archive was not imported; repositories that were imported by then stay.',
  { importId: uuid, taskId: uuid, code: text, reason: text },
)
