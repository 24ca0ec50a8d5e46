import type { Rights } from '@berth/access'
import { roleWith } from '@berth/access'
import { badField, Problem } from '@berth/service'
import { administers } from '../access/rights.ts'
import type { Role } from '../roles/role.ts'
import { holds, type Target } from './target.ts'

type Granting = { rights: Rights; name: string }

/**
 * Refuses (403) a grant of what the grantor does not have itself: `grant` on all that it is on, and each verb of the role. The role
 * `admin` is given on everything only, and by administrators.
 */
export function refuseBeyond(
  { rights, name }: Granting,
  role: Pick<Role, 'name' | 'verbs'>,
  target: Target,
  on: string,
): void {
  if (role.name === 'admin' && !('everything' in target))
    throw badField(
      'on',
      'the role admin is given on * only',
      'The role "owner" has all that there is on less than that.',
    )
  requireGrant({ rights, name }, target, on)
  refuseTouchingAdmin({ rights, name }, role.name, on)
  const lacking = role.verbs.find((verb) => !holds(rights, verb, target))
  if (lacking !== undefined) throw beyond(name, role.name, lacking, on)
}

/** Refuses (403) to change or take away the role `admin` whoever has it not: who gives it not takes it not. */
export function refuseTouchingAdmin({ rights, name }: Granting, role: string, on: string): void {
  if (role === 'admin' && !administers(rights)) throw beyond(name, role, 'administer', on)
}

/** Refuses (403) whoever has not `grant` on all of a target. */
export function requireGrant({ rights, name }: Granting, target: Target, on: string): void {
  if (holds(rights, 'grant', target)) return
  const role = 'everything' in target ? 'admin' : roleWith('grant')
  throw new Problem(403, 'not_allowed', `${name} may not grant on ${on}: that needs "grant" there.`, {
    hint: role === 'admin' ? 'Ask an administrator.' : `Ask an owner for the role "${role}".`,
    more: { missing: { verb: 'grant', role } },
  })
}

function beyond(name: string, role: string, verb: string, on: string): Problem {
  return new Problem(
    403,
    'not_held',
    `${name} has not "${verb}" on ${on}, and so can neither give nor take the role "${role}" there.`,
    {
      hint: 'Nobody gives what they do not have: grant a lesser role, or ask an administrator.',
      field: 'role',
    },
  )
}
