import { noRights, type Rights } from '@berth/access'

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
