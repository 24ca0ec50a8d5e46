import { type Actor, type Database, Problem } from '@berth/service'
import { findHolder } from '../holders/holder.ts'
import { findRole } from '../roles/role.ts'
import { makeGrant } from './make-grant.ts'

/** Grants the role `owner` on a namespace that an administrator makes for a user or a group; one that has it keeps it. Throws 404. */
export async function grantNamespace(
  db: Database,
  { namespace, owner }: { namespace: string; owner: { user?: string; group?: string } },
  actor: Actor,
): Promise<void> {
  const { user, group = '' } = owner
  const holder = user === undefined ? await findHolder(db, 'group', group) : await findHolder(db, 'user', user)
  const role = await findRole(db, 'owner')
  try {
    await makeGrant(db, { holder, role, target: { namespace } }, actor)
  } catch (error) {
    if (!(error instanceof Problem && error.code === 'granted_already')) throw error
  }
}
