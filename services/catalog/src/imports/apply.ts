import { type AuditEntry, type Database, Problem, withAudit } from '@berth/service'
import type { BlobPlaces } from '../archives/blob-places.ts'
import type { BroughtRepository, Contents } from '../archives/brought.ts'
import type { ListLine, ManifestLine, SignatureLine, TagLine } from '../archives/list-lines.ts'
import type { ServedGate } from '../served/wait-until-served.ts'
import { commitStage } from '../stages/commit-stage.ts'
import { clearStage, stageContent } from '../stages/stage-content.ts'
import { type Placing, placeDistributions, placeRepository } from './place-repository.ts'
import type { Plan, PlannedRepository } from './plan.ts'
import { requireProven } from './require-proven.ts'
import { manifestsOf, stageManifests } from './stage-manifests.ts'
import { type StoreDeps, storeBlobs, type Tally } from './store-blobs.ts'
import { findConflict, recordOrigin } from './target-state.ts'
import { mapName } from './targets.ts'

export type Applying = {
  db: Database
  gate: ServedGate
  store: StoreDeps
  contents: Contents
  plan: Plan
  map: Readonly<Record<string, string>>
  task: { id: string; fence: number; actor: { id: string | null; name: string } }
  ownerId: string | null
  /** Throws where whoever started it may do it no more. */
  requireRights: (name: string) => Promise<void>
  tally: Tally
  onRepository: (name: string) => void
  signal: AbortSignal
}
export type ImportedRepository = { name: string; repository: string; version: number; created: boolean }

const linesAtOnce = 100
const batchBytes = 8 << 20

/** The stage of a repository in one task of an import: an attempt that goes on finds it again. */
function stageOf(taskId: string, { target }: Pick<PlannedRepository, 'target'>): string {
  return `import:${taskId}:${target}`
}

/** Ends the stages of a task that did not come to its end: what was committed stays. */
export async function closeStages(db: Database, taskId: string): Promise<void> {
  const rows = await db.query<{ id: string }>(
    `update stage
     set state = 'closed', touched_at = now()
     where starts_with(id, $1)
       and state = 'open'
     returning id`,
    [`import:${taskId}:`],
  )
  for (const { id } of rows) await clearStage(db, id)
}

/** Refuses what cannot be put here as it was asked for. */
export function refuseConflicts({ signature, signatureRequired, repositories, distributions }: Plan): void {
  if (signatureRequired && signature !== 'trusted')
    throw new Problem(409, 'signature_required', 'The archive is not signed by a key that is trusted here.', {
      hint: 'Have it exported with BERTH_EXPORT_SIGNING_KEY, and that public key among BERTH_IMPORT_TRUSTED_KEYS.',
    })
  const conflicts = repositories.flatMap(({ target, conflict }) =>
    conflict ? [{ repository: target, ...conflict }] : [],
  )
  const [first] = conflicts
  if (first) {
    const hint =
      first.code === 'changed_here' || first.code === 'older_version' ? chooseHint(first.repository) : undefined
    throw new Problem(first.code === 'not_allowed' ? 403 : 409, first.code, `${first.message}.`, {
      ...(hint ? { hint } : {}),
      more: { conflicts: conflicts.slice(0, 100) },
    })
  }
  const refused = distributions.find(({ action }) => action === 'not_allowed')
  if (refused)
    throw new Problem(
      403,
      'not_allowed',
      `The archive has the distribution "${refused.basePath}", which may not be made here by you.`,
      {
        hint: 'That needs "distribution.create", and "publish" where it is public. Export without distributions, or ask an owner.',
      },
    )
}

function chooseHint(repository: string): string {
  return `Say what becomes of it, {"onConflict": {"${repository}": "replace"}} or "merge", or map it to another name.`
}

/** Stores all blobs first, and then puts them into one repository after the other, each as one version. */
export async function applyImport(applying: Applying): Promise<ImportedRepository[]> {
  const { contents, plan, store, tally, signal } = applying
  refuseWithoutRoom(plan)
  for (const brought of contents.repositories)
    for await (const batch of batchesOf(brought.lines(signal), 'blob')) {
      const carried = batch.filter(({ held, foreign }) => !held && !foreign)
      await storeBlobs(
        store,
        carried.map(({ blob: digest, size }) => ({ digest, size })),
        { tally, signal },
      )
    }
  // Manifests too before anything is visible: then nothing that is wrong with the archive can end it half way.
  for (const [at, brought] of contents.repositories.entries()) {
    const planned = plan.repositories[at]
    if (planned) await stageRepository(applying, brought, planned)
  }
  const imported: ImportedRepository[] = []
  for (const planned of plan.repositories) {
    signal.throwIfAborted()
    imported.push(await commitRepository(applying, planned))
    applying.onRepository(planned.target)
  }
  return imported
}

function refuseWithoutRoom({ repositories, freeBytes }: Plan): void {
  const bytes = repositories.reduce((sum, { new: { bytes: some } }) => sum + some, 0)
  if (freeBytes === null || bytes <= freeBytes) return
  throw new Problem(
    409,
    'no_room',
    `The archive has ${bytes} bytes that are new here, and the disk of the store has room for ${freeBytes}.`,
    {
      hint: 'Free space, or collect what nothing needs: POST /api/v1/store/gc.',
    },
  )
}

async function stageRepository(
  applying: Applying,
  brought: BroughtRepository,
  planned: PlannedRepository,
): Promise<void> {
  const { db, store, task, tally, signal } = applying
  const staging = { stage: stageOf(task.id, planned), fence: task.fence }
  // An attempt that was ended behind its commit: what it made is answered again.
  if (await isCommitted(db, staging.stage)) return
  const members: BlobPlaces = await manifestsOf(brought, signal)
  for await (const lines of batchesOf(brought.lines(signal), 'manifest'))
    await stageManifests(store, staging, { lines, members }, { tally, signal })
  for await (const lines of batchesOf(brought.lines(signal), 'tag'))
    await stageContent(db, {
      ...staging,
      manifests: [],
      tags: lines.map(({ tag: name, digest }) => ({ name, digest })),
    })
  for await (const lines of batchesOf(brought.lines(signal), 'signature')) {
    const signatures = lines.map(({ signature: name, digest, content }) => ({ name, digest, content }))
    await stageContent(db, { ...staging, manifests: [], tags: [], signatures })
  }
  await requireProven(db, provingOf(applying, planned, planned.repository?.id ?? null))
}

async function isCommitted(db: Database, stage: string): Promise<boolean> {
  return (await db.query(`select from stage where id = $1 and state = 'committed'`, [stage])).length > 0
}

function provingOf({ store, task }: Applying, planned: PlannedRepository, repositoryId: string | null) {
  const { name, origin } = planned
  return { importId: store.importId, stage: stageOf(task.id, planned), name, repositoryId, origin }
}

type Lines = {
  manifest: ManifestLine
  blob: Extract<ListLine, { blob: unknown }>
  tag: TagLine
  signature: SignatureLine
}

/** The lines of one kind, a batch at a time. */
async function* batchesOf<Kind extends keyof Lines>(
  lines: AsyncIterable<ListLine>,
  kind: Kind,
): AsyncGenerator<Lines[Kind][]> {
  let batch: Lines[Kind][] = []
  let bytes = 0
  for await (const line of lines) {
    if (!(kind in line)) continue
    batch.push(line as Lines[Kind])
    if (kind === 'manifest' && 'size' in line) bytes += line.size
    if (batch.length < linesAtOnce && bytes < batchBytes) continue
    yield batch
    batch = []
    bytes = 0
  }
  if (batch.length > 0) yield batch
}

/** Makes one version of what was staged. Answers once it is served. */
async function commitRepository(applying: Applying, planned: PlannedRepository): Promise<ImportedRepository> {
  const { db, gate, task, requireRights } = applying
  const { name, target, origin, action } = planned
  await requireRights(name)
  const placing = placingOf(applying, planned)
  const audit: AuditEntry = {
    action: 'import',
    actor: task.actor,
    object: { kind: 'repository', id: planned.repository?.id ?? null, name: target },
    detail: origin ? `version ${origin.exported.version.number} of ${name}` : name,
    address: null,
    requestId: task.id,
  }
  return withAudit(audit, async () => {
    const { id } = await placeRepository(db, placing)
    const request = {
      repositoryId: id,
      stage: stageOf(task.id, planned),
      fence: task.fence,
      cause: 'import' as const,
      actor: task.actor,
      taskId: task.id,
      mode: action === 'merge' ? ('additive' as const) : ('mirror' as const),
      force: true,
    }
    const { reply, revision } = await commitStage(db.background, request, {
      guard: async (sql, head) => {
        // Again under the lock: what the target had of it may be gone by now.
        await requireProven(sql, provingOf(applying, planned, id))
        if (action === 'replace' || action === 'merge') return
        const conflict = await findConflict(sql, { name: target, head, origin })
        if (conflict) throw new Problem(409, conflict.code, `${conflict.message}.`, { hint: chooseHint(target) })
      },
      record: async (sql, version) => {
        // What was merged is no version of theirs.
        if (origin && action !== 'merge') await recordOrigin(sql, { repositoryId: id, version }, origin)
      },
    })
    await gate.repository(id, revision, reply.version)
    for (const made of await placeDistributions(db, { id, version: reply.version }, placing))
      await gate.distribution(made)
    return { name, repository: target, version: reply.version, created: reply.created }
  })
}

function placingOf(
  { contents, plan, map, task, ownerId }: Applying,
  { name, target, origin }: PlannedRepository,
): Placing {
  const wanted = new Set(plan.distributions.filter(({ action }) => action === 'create').map(({ basePath }) => basePath))
  const distributions = contents.distributions
    .filter(({ repository }) => repository === name)
    .map((one) => ({ ...one, basePath: mapName(map, one.basePath) }))
    .filter(({ basePath }) => wanted.has(basePath))
  return { target, exported: origin?.exported ?? null, distributions, actor: task.actor, ownerId }
}
