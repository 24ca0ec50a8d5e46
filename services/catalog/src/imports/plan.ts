import { createHash, type KeyObject } from 'node:crypto'
import type { Rights } from '@berth/access'
import type { BlobStore } from '@berth/blobs'
import { type Digest, isRepositoryName } from '@berth/oci'
import { badField, type Database, Problem } from '@berth/service'
import { BadArchive } from '../archives/bad-archive.ts'
import type { BroughtRepository, Contents } from '../archives/brought.ts'
import { requireNamed } from '../archives/contents.ts'
import type { ExportedRepository } from '../archives/document.ts'
import type { ListLine } from '../archives/list-lines.ts'
import { indexName } from '../archives/member-names.ts'
import { type Trust, trustOf } from '../archives/signature.ts'
import { checkSettings } from '../repositories/settings.ts'
import { changeContentHash, emptyContentHash } from '../versions/content-hash.ts'
import { ensureWrittenOut } from '../versions/ensure-written-out.ts'
import { requireReadable } from './plan-manifests.ts'
import { findExceeded } from './plan-quotas.ts'
import { findImmutable } from './plan-tags.ts'
import { requiredOf } from './require-signed.ts'
import { membersAt } from './target-members.ts'
import { baseMissing, type Conflict, findBase, findConflict, type Origin } from './target-state.ts'
import {
  asSeenBy,
  findTargets,
  type ImportWishes,
  lackingForDistribution,
  lackingVerb,
  mapName,
  type Target,
} from './targets.ts'

export type Signing = { trustedKeys: readonly KeyObject[]; requireSignature: boolean }
type Deps = { db: Database; blobs: BlobStore; signing: Signing }

type Action = 'create' | 'update' | 'replace' | 'merge'
export type PlannedRepository = Target & {
  origin: Origin | null
  /** What becomes of it. */
  action: Action
  conflict: Conflict | null
  tags: number
  manifests: number
  blobs: number
  signatures: number
  /** What it does not have yet, of what the archive carries. */
  new: { manifests: number; blobs: number; bytes: number }
  /** Whether signatures are looked for when it is applied, before anything is visible. */
  requiresSignatures: boolean
  /** Of all that it has. */
  contentHash: string
}
type PlannedDistribution = {
  name: string
  basePath: string
  repository: string
  access: 'public' | 'private'
  /** `kept`: there is one of that base path, which stays as it is. */
  action: 'create' | 'kept' | 'not_allowed'
}
export type Plan = {
  signature: Trust
  signatureRequired: boolean
  repositories: PlannedRepository[]
  distributions: PlannedDistribution[]
  carried: { count: number; bytes: number }
  /** What is left of the disk of the store before it is full, where that is known. */
  freeBytes: number | null
}

const digestsAtOnce = 1_000

/**
 * Reads all of the structure of an archive, with its lists, and says what importing it would do. Throws `BadArchive` for what does not
 * hold together; conflicts are part of the answer.
 */
export async function planImport({ db, blobs, signing }: Deps, contents: Contents, asked: Asked): Promise<Plan> {
  const { rights, wishes, signal } = asked
  const names = contents.repositories.map(({ name }) => name)
  const targets = await findTargets(db, names, wishes.map ?? {})
  const repositories: PlannedRepository[] = []
  for (const [at, brought] of contents.repositories.entries()) {
    const target = targets[at]
    if (target) repositories.push(await planRepository(db, contents, brought, target, asked))
  }
  requireNamed(contents.archive)
  await refuseExceeded(db, contents, repositories, signal)
  return {
    signature: trustOf(contents, signing.trustedKeys),
    signatureRequired: signing.requireSignature || wishes.requireSignature === true,
    repositories,
    distributions: await planDistributions(db, contents, { targets, rights, wishes }),
    carried: { count: contents.archive.blobs.count, bytes: contents.archive.blobs.bytes },
    freeBytes: await freeBytesOf(blobs),
  }
}

/** Notes what would exceed a quota, of what nothing else stands against. */
async function refuseExceeded(
  db: Database,
  contents: Contents,
  repositories: PlannedRepository[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const bringing = contents.repositories.flatMap((brought, at) => {
    const planned = repositories[at]
    return planned && !planned.conflict ? [{ brought, target: planned.target }] : []
  })
  const exceeded = await findExceeded(db, contents, bringing, signal)
  for (const planned of repositories) planned.conflict ??= exceeded.get(planned.target) ?? null
}

type Asked = {
  rights: Rights
  wishes: ImportWishes
  /** What an attempt before this one has put here already: of that nothing is to be asked any more. */
  committed?: ReadonlySet<string>
  signal?: AbortSignal | undefined
}

async function planRepository(
  db: Database,
  { archive, origin: installation }: Contents,
  brought: BroughtRepository,
  wanted: Target,
  { rights, wishes, committed, signal }: Asked,
): Promise<PlannedRepository> {
  const target = asSeenBy(rights, wanted)
  const { exported } = brought
  const origin = installation !== null && exported ? { installation, exported } : null
  const lacking = lackingVerb(rights, target)
  const { repository, target: name } = target
  if (!repository && exported) requireSettings(exported)
  if (repository) await ensureWrittenOut(db, repository.id)
  const base = repository && origin && !lacking ? await findBase(db, repository.id, origin) : undefined
  const planned: PlannedRepository = {
    ...target,
    origin,
    action: repository ? 'update' : 'create',
    conflict: null,
    tags: 0,
    manifests: 0,
    blobs: 0,
    signatures: 0,
    new: { manifests: 0, blobs: 0, bytes: 0 },
    requiresSignatures: false,
    contentHash: emptyContentHash,
  }
  const { hash, missing } = await countLines(db, brought, planned, { base, isSeen: lacking === undefined, signal })
  planned.contentHash = hash
  if (lacking)
    return {
      ...planned,
      conflict: { code: 'not_allowed', message: `importing into "${name}" needs "${lacking}" there` },
    }
  if (committed?.has(name)) return planned
  const conflict = repository ? await conflictWithin(db, repository.id, { name, origin, contentHash: hash }) : undefined
  const chosen = wishes.onConflict && Object.hasOwn(wishes.onConflict, name) ? wishes.onConflict[name] : undefined
  if (repository) planned.requiresSignatures = (await requiredOf(db, repository.id)) !== null
  if (origin && exported?.since && (base === undefined || missing !== undefined))
    return { ...planned, conflict: baseMissing(name, origin, missing) }
  await requireReadable(db, brought, { archive, repositoryId: repository?.id ?? null, base, signal })
  if (conflict && !chosen) return { ...planned, conflict }
  const action = conflict && chosen ? chosen : planned.action
  const takesAway = action !== 'merge'
  const immutable =
    repository && (await findImmutable(db, brought, { name, repositoryId: repository.id, takesAway, signal }))
  return { ...planned, action, conflict: immutable ?? null }
}

/** Refuses what a repository would be made with and may not have, before anything is made. */
function requireSettings({ name, description, labels, immutableTags }: ExportedRepository): void {
  try {
    checkSettings({ description, labels, immutableTags })
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    throw new BadArchive(`${indexName}, "${name}"`, `has settings that no repository may have: ${error.message}`)
  }
}

async function conflictWithin(
  db: Database,
  id: string,
  { name, ...brought }: { name: string; origin: Origin | null; contentHash: string },
): Promise<Conflict | undefined> {
  const [head] = await db.query<{ latestVersion: number; looseSince: Date | null }>(
    'select latest_version as "latestVersion", loose_since as "looseSince" from repository where id = $1',
    [id],
  )
  if (!head) return undefined
  return findConflict(db, { name, head: { id, ...head }, ...brought })
}

/** Reads the list of a repository to its end. Answers the hash of its content, and a digest that the base of a delta lacks. */
async function countLines(
  db: Database,
  brought: BroughtRepository,
  planned: PlannedRepository,
  { base, isSeen, signal }: { base: number | undefined; isSeen: boolean; signal: AbortSignal | undefined },
): Promise<{ hash: string; missing: Digest | undefined }> {
  const repositoryId = isSeen ? planned.repository?.id : undefined
  let missing: Digest | undefined
  let batch: { digest: Digest; size: number; isManifest: boolean; isHeld: boolean }[] = []
  let members: string[] = []
  let hash = emptyContentHash
  const flush = async () => {
    hash = changeContentHash(hash, members, [])
    members = []
    const digests = batch.map(({ digest }) => digest)
    const here = repositoryId ? await membersAt(db, repositoryId, digests, null) : new Set<Digest>()
    const held = batch.filter(({ isHeld }) => isHeld).map(({ digest }) => digest)
    if (held.length > 0 && repositoryId && base !== undefined) {
      const inBase = await membersAt(db, repositoryId, held, base)
      missing ??= held.find((digest) => !inBase.has(digest))
    }
    for (const { digest, size, isManifest, isHeld } of batch) {
      if (isHeld || here.has(digest)) continue
      planned.new[isManifest ? 'manifests' : 'blobs']++
      planned.new.bytes += size
    }
    batch = []
  }
  for await (const line of brought.lines(signal)) {
    count(planned, line)
    members.push(...memberOf(line))
    const digest = 'manifest' in line ? line.manifest : 'blob' in line ? line.blob : undefined
    if (members.length >= digestsAtOnce && batch.length === 0) await flush()
    if (!digest || !('size' in line) || ('foreign' in line && line.foreign)) continue
    batch.push({ digest, size: line.size, isManifest: 'manifest' in line, isHeld: line.held === true })
    if (batch.length >= digestsAtOnce) await flush()
  }
  await flush()
  if (brought.exported && brought.exported.version.contentHash !== hash)
    throw new BadArchive(
      brought.exported.contents.member,
      'is not the content that the index says: its content hash is another one',
    )
  return { hash, missing }
}

/** What a line adds to the hash of the content (versions/finish.ts). */
function memberOf(line: ListLine): string[] {
  if ('manifest' in line) return [line.mediaType === undefined ? line.manifest : `${line.manifest}=${line.mediaType}`]
  if ('tag' in line) return [`${line.tag}=${line.digest}`]
  if ('signature' in line) return [`${line.signature}=${createHash('sha256').update(line.content).digest('hex')}`]
  return []
}

function count(planned: PlannedRepository, line: ListLine): void {
  planned['manifest' in line ? 'manifests' : 'blob' in line ? 'blobs' : 'tag' in line ? 'tags' : 'signatures']++
}

async function planDistributions(
  db: Database,
  contents: Contents,
  { targets, rights, wishes }: { targets: readonly Target[]; rights: Rights; wishes: ImportWishes },
): Promise<PlannedDistribution[]> {
  const { map = {} } = wishes
  const wanted = contents.distributions.map((one) => ({ ...one, basePath: mapName(map, one.basePath) }))
  for (const { basePath } of wanted)
    if (!isRepositoryName(basePath))
      throw badField(
        'map',
        `gives a distribution the base path ${JSON.stringify(basePath.slice(0, 300))}, which is none`,
      )
  const taken = await db.query<{ basePath: string }>(
    'select base_path as "basePath" from distribution where base_path = any($1::text[])',
    [wanted.map(({ basePath }) => basePath)],
  )
  const isTaken = new Set(taken.map(({ basePath }) => basePath))
  return wanted.flatMap((one): PlannedDistribution[] => {
    const target = targets.find(({ name }) => name === one.repository)
    if (!target) return []
    const { name, basePath, access } = one
    // Whether a name is taken is not for who may not have it.
    const action = lackingForDistribution(rights, one, target)
      ? 'not_allowed'
      : isTaken.has(basePath)
        ? 'kept'
        : 'create'
    return [{ name, basePath, repository: target.target, access, action }]
  })
}

/** The least of what is left of the disks above what is kept free. */
async function freeBytesOf(blobs: BlobStore): Promise<number | null> {
  const disks = (await blobs.disks?.()) ?? []
  if (disks.length === 0) return null
  return Math.max(0, Math.min(...disks.map(({ freeBytes, reserveBytes }) => freeBytes - reserveBytes)))
}
