import type { Sql } from '@berth/service'
import { heldByAny } from '../intervals/held.ts'

/** What can need a digest, in the order in which it is told. */
const rootKinds = ['tag', 'manifest', 'blob', 'link', 'lease', 'stage'] as const
export type RootKind = (typeof rootKinds)[number]

const liveMember = (table: string) =>
  `exists (select from ${table} as member where member.digest = blob.digest and ${heldByAny('member')})`

/**
 * Whether something that is no other content needs `blob.digest`: SQL by kind. An interval that is not empty covers a version
 * that exists, for those of deleted versions are emptied with them; an open one may also be of a loose member. A link counts
 * whatever its age: one that no manifest completes is taken away first, as a change that registry follows.
 */
export const roots: Record<RootKind, string> = {
  tag: liveMember('tag_interval'),
  manifest: liveMember('manifest_interval'),
  blob: liveMember('blob_interval'),
  link: 'exists (select from blob_link as link where link.digest = blob.digest and link.linked)',
  lease: 'exists (select from lease where lease.digest = blob.digest and lease.expires_at > clock_timestamp())',
  // Its rows are deleted when a stage ends.
  stage: `(exists (select from stage_manifest as staged where staged.digest = blob.digest)
    or exists (select from stage_tag as staged where staged.digest = blob.digest))`,
}

/** Whether anything but a lease needs it. */
export const isRootedWithoutLease = `(${Object.entries(roots)
  .flatMap(([kind, need]) => (kind === 'lease' ? [] : [need]))
  .join(' or ')})`

export const isRooted = `(${Object.values(roots).join(' or ')})`

/**
 * How a manifest holds what it names: not its subject, which may be missing (OCI image-spec, "manifest"), and nothing that may
 * lie elsewhere, such as a foreign layer.
 */
export const holds = (reference: string) => `(${reference}.role <> 'subject' and not ${reference}.optional)`

/**
 * Has the needs of a page looked up by index in this transaction: without fresh statistics PostgreSQL may rather read whole
 * tables for each page.
 */
export async function lookUpByIndex(sql: Sql): Promise<void> {
  await sql.query("select set_config('enable_seqscan', 'off', true)")
}

/** Whether a manifest that is recorded names `blob.digest`, be it needed itself or not. */
export const isNamed = `exists (
  select
  from manifest_reference as reference
  where reference.child = blob.digest
    and ${holds('reference')})`

/** Whether a manifest that is not itself a candidate names `blob.digest`. */
export const isNamedByKept = `exists (
  select
  from manifest_reference as reference
  join blob as holder on holder.digest = reference.manifest
  where reference.child = blob.digest
    and ${holds('reference')}
    and holder.candidate_since is null)`
