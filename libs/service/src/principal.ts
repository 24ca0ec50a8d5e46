import { noRights, type Rights } from '@berth/access'

/** Who calls, and what is granted to it; the id is that of its account. */
export type Principal = { id: string; name: string; admin: boolean; rights: Rights }

/** A caller that sent no credentials. */
export const anonymous: Principal = { id: '', name: '', admin: false, rights: noRights(null) }
