import type { BlobPlaces } from '../archives/blob-places.ts'
import type { BroughtRepository } from '../archives/brought.ts'
import type { ListLine, ManifestLine, SignatureLine, TagLine } from '../archives/list-lines.ts'
import { stageContent } from '../stages/stage-content.ts'
import { type Applying, isCommitted, provingOf, stageOf } from './applying.ts'
import { refuseWithoutRoom } from './check-room.ts'
import { commitRepository, type ImportedRepository } from './commit-repository.ts'
import type { PlannedRepository } from './plan.ts'
import { requireProven } from './require-proven.ts'
import { requiredOf, requireSigned } from './require-signed.ts'
import { manifestsOf, stageManifests } from './stage-manifests.ts'
import { storeBlobs } from './store-blobs.ts'

const linesAtOnce = 100
const batchBytes = 8 << 20

/** Stores all blobs first, and then puts them into one repository after the other, each as one version. */
export async function applyImport(applying: Applying): Promise<ImportedRepository[]> {
  const { contents, plan, store, tally, signal } = applying
  await refuseWithoutRoom(store.db, contents, plan.freeBytes, signal)
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
  if (planned.repository)
    await lookForSignatures(applying, planned.target, { stage: staging.stage, repositoryId: planned.repository.id })
}

async function lookForSignatures(
  { store, signedFor, signal }: Applying,
  target: string,
  place: { stage: string; repositoryId: string },
): Promise<void> {
  const required = await requiredOf(store.db, place.repositoryId)
  if (!required) return
  await requireSigned(store, place, { required, signal })
  signedFor.set(target, required)
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
