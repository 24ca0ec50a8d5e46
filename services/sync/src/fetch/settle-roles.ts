import type { ManifestRecord } from '@berth/commands'
import { type Digest, isUnsureEntry, type Reference } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import type { Upstream } from './deps.ts'
import { inParallel } from './in-parallel.ts'

type Asked = Pick<Upstream, 'client' | 'repository' | 'concurrency'>

/**
 * Asks upstream what those entries of an index are whose type tells it not: a blob, a manifest (docs/protocol.md#leniency), or both, for
 * there are registries that give all manifests as blobs too. What upstream has in neither way stays a blob, and fails as one.
 */
export async function settleRoles(
  upstream: Asked,
  record: ManifestRecord,
  signal: AbortSignal,
): Promise<ManifestRecord> {
  const unsure = new Set(record.references.flatMap(({ isUnsure, digest }) => (isUnsure ? [digest] : [])))
  if (unsure.size === 0) return record
  const roles = new Map<Digest, Reference['role'][]>()
  await inParallel(unsure, upstream.concurrency, signal, async (digest, both) => {
    roles.set(digest, await rolesOf(upstream, digest, both))
  })
  const references = record.references.flatMap((one) =>
    one.isUnsure ? (roles.get(one.digest) ?? [one.role]).map((role) => ({ ...one, role })) : [one],
  )
  return { ...record, references }
}

async function rolesOf(upstream: Asked, digest: Digest, signal: AbortSignal): Promise<Reference['role'][]> {
  const { client, repository } = upstream
  try {
    if (!(await client.resolve(repository, digest, signal))) return ['layer']
  } catch (error) {
    // Of what is a blob there are registries that answer this question with something else than 404.
    if (!isRefusal(error) || !(await isBlob(upstream, digest, signal))) throw error
    return ['layer']
  }
  return (await isBlob(upstream, digest, signal)) ? ['layer', 'manifest'] : ['manifest']
}

async function isBlob({ client, repository }: Asked, digest: Digest, signal: AbortSignal): Promise<boolean> {
  try {
    return (await client.blobSize(repository, digest, signal)) !== undefined
  } catch (error) {
    if (isRefusal(error)) return false
    throw error
  }
}

/** Whether upstream answered, and with neither yes nor no: such as 403, or 405 to HEAD. */
function isRefusal(error: unknown): boolean {
  return error instanceof UpstreamError && error.status !== undefined && error.status < 500 && error.status !== 429
}

/**
 * As `settleRoles`, of an index that catalog knows: what its entries are to others was settled for their repositories. `added` has it
 * where catalog is to know more roles.
 */
export async function settleKnown(
  upstream: Asked,
  known: ManifestRecord,
  signal: AbortSignal,
): Promise<{ record: ManifestRecord; added: ManifestRecord[] }> {
  const isUnsure = (one: Reference) => known.isIndex && isUnsureEntry(one)
  if (!known.references.some(isUnsure)) return { record: known, added: [] }
  const entries = new Map(known.references.filter(isUnsure).map((one) => [one.digest, one]))
  const sure = known.references.filter((one) => !isUnsure(one))
  const open = [...entries.values()].map((one) => ({ ...one, role: 'layer' as const, isUnsure: true as const }))
  const record = await settleRoles(upstream, { ...known, references: [...sure, ...open] }, signal)
  const roles = new Set(known.references.map(({ role, digest }) => `${role} ${digest}`))
  const isNew = record.references.some(({ role, digest }) => !roles.has(`${role} ${digest}`))
  return { record, added: isNew ? [record] : [] }
}
