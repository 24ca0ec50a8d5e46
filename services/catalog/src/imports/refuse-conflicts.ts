import { Problem } from '@berth/service'
import { quotaHint } from '../namespaces/quota.ts'
import { immutableHint } from '../versions/immutable-tags.ts'
import type { Plan } from './plan.ts'
import type { Conflict } from './target-state.ts'

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
    const hint = hintOf(first)
    throw new Problem(forbidden.has(first.code) ? 403 : 409, first.code, `${first.message}.`, {
      ...(hint ? { hint } : {}),
      more: { conflicts: conflicts.slice(0, 100) },
    })
  }
  const refused = distributions.find(({ action }) => action === 'not_allowed')
  if (refused) throw notToBeMade(refused.basePath)
}

// As pushes answer these.
const forbidden = new Set<Conflict['code']>(['not_allowed', 'tag_immutable', 'quota_exceeded'])

function hintOf({ code, repository }: Conflict & { repository: string }): string | undefined {
  if (code === 'changed_here' || code === 'older_version') return chooseHint(repository)
  if (code === 'tag_immutable') return immutableHint
  return code === 'quota_exceeded' ? quotaHint : undefined
}

/** A distribution whose making needs more rights. */
export function notToBeMade(basePath: string): Problem {
  return new Problem(
    403,
    'not_allowed',
    `The archive has the distribution "${basePath}", which may not be made here by you.`,
    {
      hint: 'That needs "distribution.create", and "publish" where it is public. Export without distributions, or ask an owner.',
    },
  )
}

export function chooseHint(repository: string): string {
  return `Say what becomes of it, {"onConflict": {"${repository}": "replace"}} or "merge", or map it to another name.`
}
