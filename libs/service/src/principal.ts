import { noRights, type Rights } from '@berth/access'

/**
 * Who does something. The id of its account decides; the name is to be shown, and may be that of another account one day. Without an
 * account it is Berth itself, or somebody who has not logged in.
 */
export type Actor = { id: string | null; name: string }

/** What Berth does by itself. */
export const berth: Actor = { id: null, name: 'berth' }

/** A caller as the one who does what it asks for. */
export function actorOf({ id, name }: Principal): Actor {
  return { id: id || null, name }
}

/** Who made a row, as its columns. */
export function madeBy({ id, name }: Actor): { created_by: string; created_by_id: string | null } {
  return { created_by: name, created_by_id: id }
}

/** Who calls, and what is granted to it; the id is that of its account. */
export type Principal = {
  id: string
  name: string
  admin: boolean
  /** Whether it is no person: what it makes is its namespace's. */
  robot?: boolean
  rights: Rights
}

/** The account that owns what a caller makes; null where its namespace does. */
export function ownerOf({ id, robot = false }: Principal): string | null {
  return robot ? null : id
}

/** A caller that sent no credentials. */
export const anonymous: Principal = { id: '', name: '', admin: false, rights: noRights(null) }
