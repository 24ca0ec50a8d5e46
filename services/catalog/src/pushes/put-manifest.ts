import type { CatalogCommands, ManifestRecord, ServedRow, StoredBlob } from '@berth/commands'
import { type Database, type InternalCall, notFound, type Transaction } from '@berth/service'
import { runCommand } from '../db/run-command.ts'
import { addManifests, beginEdit, pushManifest, setTags } from '../intervals/edit.ts'
import { orStale, placeBlobs } from '../leases/place-blobs.ts'
import { chargeQuota, type QuotaUse, quotaWarning, withinQuota } from '../namespaces/quota.ts'
import { type EnsuredRepository, ensureRepository } from '../repositories/ensure.ts'
import { type HeadRow, rowsAfter } from '../served/rows.ts'
import { finishVersion, readPushed } from '../versions/finish.ts'
import { nextRevision } from '../versions/locked-repository.ts'
import type { MadeVersion } from '../versions/record-version.ts'
import { checkNesting } from './check-nesting.ts'
import { checkReferences, settleRoles } from './check-references.ts'
import { recordManifests, storedOf } from './record-manifests.ts'

type Put = CatalogCommands['push-manifest']

/**
 * A pushed manifest, its references and its tags, in one transaction. With tags it makes one version; by digest alone it
 * becomes a loose member: served at once, kept without expiry, folded into the next version.
 */
export async function putManifest(db: Database, request: Put['request'], call: InternalCall): Promise<Put['reply']> {
  const work = async (sql: Transaction) => {
    const repository = await ensureRepository(sql, request)
    if (!repository) throw notFound('repository', request.repository)
    const putAs = request.tags.length > 0 ? putTagged : putLoose
    const manifest = await settleRoles(sql, repository, request.manifest)
    const { version, revision, rows, stored, quota } = await putAs(sql, repository, { ...request, manifest })
    const warning = quotaWarning(repository.name, quota)
    const change = { repositoryId: repository.id, revision }
    return { change, version, rows, stored, ...(warning === undefined ? {} : { warning }) }
  }
  return orStale(() => withinQuota(db, () => runCommand(db, call, work, { planOnce: true })))
}

type Done = {
  version: number
  revision: number
  rows: ServedRow[]
  stored: StoredBlob[]
  quota?: QuotaUse | undefined
}

const making = (request: Put['request']) => ({ cause: 'push', actor: request.actor, taskId: null }) as const
const headOf =
  ({ name }: EnsuredRepository) =>
  ({ number, revision }: MadeVersion): HeadRow => ({ name, revision, latestVersion: number })

async function putTagged(sql: Transaction, repository: EnsuredRepository, request: Put['request']): Promise<Done> {
  // A version that makes others go, and what was loose, change more than this push does.
  const isAlone = repository.retainVersions === null && repository.looseSince === null
  return isAlone ? putAlone(sql, repository, request) : putBesideOthers(sql, repository, request)
}

/** Where the version changes nothing but what is pushed: sent together, in this order, then the version with the commit. */
async function putAlone(sql: Transaction, repository: EnsuredRepository, request: Put['request']): Promise<Done> {
  const { manifest, pushedType, tags } = request
  const edit = beginEdit(repository)
  const head = Promise.withResolvers<HeadRow>()
  head.promise.catch(() => 'told by what is awaited below')
  try {
    // Each of these sends all it has at once.
    const checked = sendChecks(sql, repository, manifest)
    const pushed = pushManifest(sql, edit, { digest: manifest.digest, pushedType, tags })
    const changes = readPushed(sql, repository, pushed)
    const reading = rowsAfter(sql, repository.id, repository.known, head.promise)
    reading.catch(() => 'told by what is awaited below')
    const [stored, known] = await Promise.all([checked, changes])
    const made = await finishVersion(sql, repository, edit, making(request), known)
    head.resolve(headOf(repository)(made))
    return { version: made.number, revision: made.revision, rows: await reading, stored, quota: made.quota }
  } catch (error) {
    head.reject(error)
    throw error
  }
}

async function putBesideOthers(
  sql: Transaction,
  repository: EnsuredRepository,
  request: Put['request'],
): Promise<Done> {
  const { digest } = request.manifest
  const edit = beginEdit(repository)
  // Sent together, in this order. The version is made only when all went well.
  const [stored] = await Promise.all([
    sendChecks(sql, repository, request.manifest),
    addManifests(sql, edit, [digest], request.pushedType),
    setTags(
      sql,
      edit,
      request.tags.map((name) => ({ name, digest })),
    ),
  ])
  // Rows of versions that go have to be among these.
  const made = await finishVersion(sql, repository, edit, making(request))
  const rows = await rowsAfter(sql, repository.id, repository.known, headOf(repository)(made))
  return { version: made.number, revision: made.revision, rows, stored, quota: made.quota }
}

/** Checks a manifest, and records it with its bytes; answers where these count. */
async function sendChecks(
  sql: Transaction,
  repository: EnsuredRepository,
  manifest: ManifestRecord,
): Promise<StoredBlob[]> {
  const [stored] = await Promise.all([
    placeBlobs(sql, storedOf(manifest)),
    checkReferences(sql, repository, manifest),
    checkNesting(sql, manifest),
    recordManifests(sql, [manifest]),
  ])
  return stored
}

async function putLoose(sql: Transaction, repository: EnsuredRepository, request: Put['request']): Promise<Done> {
  const stored = await sendChecks(sql, repository, request.manifest)
  const [member] = await sql.query(
    'select from manifest_interval where repository_id = $1 and digest = $2 and until is null',
    [repository.id, request.manifest.digest],
  )
  const done = async (revision: number, quota?: QuotaUse) => {
    const { name, latestVersion } = repository
    const rows = await rowsAfter(sql, repository.id, repository.known, { name, revision, latestVersion })
    return { version: latestVersion, revision, rows, stored, quota }
  }
  if (member) return done(repository.revision)
  await addManifests(sql, beginEdit(repository), [request.manifest.digest], request.pushedType)
  const { digest, envelope } = request.manifest
  // What it names was counted when it was linked.
  const quota = await chargeQuota(sql, repository, envelope ? [digest, envelope.digest] : [digest])
  const revision = await nextRevision(sql, repository)
  await sql.query('update repository set loose_since = now(), pulled_from = null where id = $1', [repository.id])
  return done(revision, quota)
}
