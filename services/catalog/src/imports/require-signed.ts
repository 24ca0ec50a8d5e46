import type { BlobStore } from '@berth/blobs'
import type { RequiredSignatures } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { type Database, Problem, type Sql } from '@berth/service'
import { companionSubject, requireSignature, type SignatureSource, speaksOnly } from '@berth/signatures'
import { knownManifests } from '../lookups/known.ts'
import { stagedSignatures } from './staged-signatures.ts'

type Place = { stage: string; repositoryId: string }
type Candidate = { tag: string | null; digest: Digest }

const rowsAtOnce = 100
const lookedAtAtOnce = 4
const hint =
  'Export it with its signatures, or import it under another name, sign it there, and sync it from there; what is not signed is pushed.'

/** Whose signatures a repository requires; `null`: none. */
export async function requiredOf(sql: Sql, repositoryId: string): Promise<RequiredSignatures | null> {
  const [row] = await sql.query<{ signatures: RequiredSignatures | null }>(
    'select signatures from repository where id = $1',
    [repositoryId],
  )
  return row?.signatures?.require ? row.signatures : null
}

// Tags that are new or moved, as a sync looks at them.
const tagsQuery = `
  select staged.name as tag, staged.digest
  from stage_tag as staged
  where staged.stage = $1
    and staged.digest is not null
    and staged.name > $3
    and not exists (
      select
      from tag_interval as tag
      where tag.repository_id = $2
        and tag.until is null
        and tag.name = staged.name
        and tag.digest = staged.digest)
  order by staged.name
  limit ${rowsAtOnce}`

// What comes without a tag, and for which no index vouches that comes too.
const untaggedQuery = `
  select null as tag, staged.digest
  from stage_manifest as staged
  where staged.stage = $1
    and staged.digest > $3
    and not exists (
      select
      from manifest_interval as member
      where member.repository_id = $2
        and member.digest = staged.digest
        and member.until is null)
    and not exists (select from stage_tag as tag where tag.stage = $1 and tag.digest = staged.digest)
    and not exists (
      select
      from manifest_reference as reference
      join stage_manifest as parent on parent.stage = $1
        and parent.digest = reference.manifest
      where reference.child = staged.digest
        and reference.role = 'manifest')
  order by staged.digest
  limit ${rowsAtOnce}`

/**
 * Refuses what was staged for a repository that takes only what is signed, and is not: each tag that is new or moved, and each manifest
 * that is new and that no index vouches for, as a sync does it. What only says something about another manifest that comes, or is here, comes
 * unsigned. Throws 403 `signature_missing` or `signature_untrusted`. What the stage names has to be proven before.
 */
export async function requireSigned(
  deps: { db: Database; blobs: BlobStore },
  place: Place,
  { required, signal }: { required: RequiredSignatures; signal: AbortSignal },
): Promise<void> {
  const source = stagedSignatures(deps, place.stage)
  for (const query of [tagsQuery, untaggedQuery])
    for await (const batch of pagesOf(deps.db, query, place)) {
      signal.throwIfAborted()
      const unsaid = await leaveOutCompanions(deps.db, place, batch)
      for (let at = 0; at < unsaid.length; at += lookedAtAtOnce)
        await Promise.all(unsaid.slice(at, at + lookedAtAtOnce).map((one) => requireOne(source, required, one)))
    }
}

async function requireOne(
  source: SignatureSource,
  { keys }: RequiredSignatures,
  { tag, digest }: Candidate,
): Promise<void> {
  try {
    await requireSignature(source, { keys, of: 'repository' }, digest)
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 403) throw error
    const message = `${tag === null ? '' : `Tag "${tag}": `}${error.message}.`
    throw new Problem(403, error.code, message, { hint, cause: error })
  }
}

async function* pagesOf(db: Database, query: string, { stage, repositoryId }: Place): AsyncGenerator<Candidate[]> {
  let after = ''
  for (;;) {
    const rows = await db.query<Candidate>(query, [stage, repositoryId, after])
    const last = rows.at(-1)
    if (last) yield rows
    if (!last || rows.length < rowsAtOnce) return
    after = last.tag ?? last.digest
  }
}

/** Leaves out what says something about another manifest, and can do nothing else. */
async function leaveOutCompanions(db: Database, place: Place, candidates: readonly Candidate[]): Promise<Candidate[]> {
  const speaking = new Map<Digest, Digest | undefined>()
  for (let rest = [...new Set(candidates.map(({ digest }) => digest))]; rest.length > 0; ) {
    const page = await knownManifests(db, rest)
    for (const record of page.manifests) if (speaksOnly(record)) speaking.set(record.digest, record.subject)
    rest = page.rest
  }
  const subjectOf = ({ tag, digest }: Candidate): Digest | undefined => {
    if (!speaking.has(digest)) return undefined
    const subject = tag === null ? speaking.get(digest) : companionSubject(tag)
    return subject === digest ? undefined : subject
  }
  const subjects = candidates.flatMap((one) => subjectOf(one) ?? [])
  const there = await db.query<{ digest: Digest }>(
    `select wanted.digest
     from unnest($3::text[]) as wanted (digest)
     where exists (select from stage_manifest as staged where staged.stage = $1 and staged.digest = wanted.digest)
       or exists (
         select
         from manifest_interval as member
         where member.repository_id = $2
           and member.digest = wanted.digest
           and member.until is null)`,
    [place.stage, place.repositoryId, subjects],
  )
  const isThere = new Set(there.map(({ digest }) => digest))
  return candidates.filter((one) => !isThere.has(subjectOf(one) ?? ('' as Digest)))
}
