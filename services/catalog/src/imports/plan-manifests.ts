import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import type { Archive } from '../archives/archive.ts'
import type { BroughtRepository } from '../archives/brought.ts'
import type { ManifestLine } from '../archives/list-lines.ts'
import { readManifest } from '../archives/read-manifest.ts'
import { isMissing, isMistyped } from './require-proven.ts'
import { membersAt } from './target-members.ts'

type Where = {
  archive: Archive
  /** The repository that it goes to, and the version of it that a delta builds on. */
  repositoryId: string | null
  base: number | undefined
  signal?: AbortSignal | undefined
}
type Needed = { digest: Digest; manifest: Digest }

const readAtOnce = 4
const askedAtOnce = 1_000

/**
 * Reads the manifests that are carried, and refuses what applying them would refuse before anything is made: those that nobody would take,
 * and those whose configuration or layers are neither carried nor in the repository (`requireProven`). Comes when the list was read to its
 * end. A few manifests are in memory at once, and of what they name only what is not carried. Throws `BadArchive`.
 */
export async function requireReadable(
  db: Database,
  brought: BroughtRepository,
  { archive, repositoryId, base, signal }: Where,
): Promise<void> {
  // Manifests of archives of other tools were read to know what these have.
  if (!brought.exported) return
  let needed: Needed[] = []
  let typed: ManifestLine[] = []
  let carried: ManifestLine[] = []
  const read = async () => {
    const found = await Promise.all(carried.map((line) => neededBy(archive, line)))
    needed.push(...found.flat())
    carried = []
  }
  const ask = async () => {
    await requireThere(db, needed, { name: brought.name, repositoryId, base })
    await requireTypes(db, typed, { name: brought.name, repositoryId })
    needed = []
    typed = []
  }
  for await (const line of brought.lines(signal)) {
    if (!('manifest' in line)) break
    if (!line.held) carried.push(line)
    else if (line.mediaType !== undefined) typed.push(line)
    if (carried.length >= readAtOnce) await read()
    if (needed.length + typed.length >= askedAtOnce) await ask()
  }
  await read()
  await ask()
}

/** What a manifest cannot do without, and the archive does not carry. */
async function neededBy(archive: Archive, line: ManifestLine): Promise<Needed[]> {
  const { record } = await readManifest(archive, line)
  return record.references
    .filter(
      ({ role, optional, digest }) =>
        role !== 'manifest' && role !== 'subject' && !optional && !archive.blobs.find(digest),
    )
    .map(({ digest }) => ({ digest, manifest: line.manifest }))
}

type Target = { name: string; repositoryId: string | null; base: number | undefined }

async function requireThere(
  db: Database,
  needed: readonly Needed[],
  { name, repositoryId, base }: Target,
): Promise<void> {
  if (needed.length === 0) return
  const digests = [...new Set(needed.map(({ digest }) => digest))]
  const there = new Set<Digest>()
  for (const version of repositoryId === null ? [] : [null, ...(base === undefined ? [] : [base])])
    for (const digest of await membersAt(db, repositoryId ?? '', digests, version)) there.add(digest)
  const missing = needed.find(({ digest }) => !there.has(digest))
  if (missing) throw isMissing(missing, name)
}

/** The type of a manifest that is not carried cannot be judged by its bytes: it has to be the one that it has here. */
async function requireTypes(
  db: Database,
  lines: readonly ManifestLine[],
  { name, repositoryId }: Omit<Target, 'base'>,
): Promise<void> {
  if (lines.length === 0) return
  const [mistyped] = await db.query<{ digest: Digest }>(
    `select given.digest
     from unnest($2::text[], $3::text[]) as given (digest, type)
     where not exists (
       select
       from manifest_interval as member
       where member.repository_id = $1::uuid
         and member.digest = given.digest
         and member.pushed_type = given.type)
     limit 1`,
    [repositoryId, lines.map(({ manifest }) => manifest), lines.map(({ mediaType }) => mediaType)],
  )
  if (mistyped) throw isMistyped(mistyped.digest, name)
}
