import type { Rights } from '@berth/access'
import type { Actor, Principal } from '@berth/service'
import type { Access, PublicJwk } from '@berth/tokens'

/** Auth's internal commands. */
export type AuthCommands = {
  /**
   * Who sends this `Authorization` header (Basic or Bearer), or has the session of this secret, with all that it may do; null when that is
   * not right.
   */
  identify: {
    request: { authorization?: string | undefined; session?: string | undefined; ip: string }
    reply: { principal: Principal | null }
  }
  /** As `identify`, with what of the wanted accesses is granted; for credentials that come to `/v2` without a token. */
  'decide-access': {
    request: { authorization: string; ip: string; wanted: Access[] }
    reply: { principal: Principal | null; access: Access[] }
  }
  /** What is granted to an account now; nothing to one whose epoch is another by now, for then what was issued to it has ended. */
  'grants-of': { request: { accountId: string; epoch: number }; reply: { rights: Rights; isActive: boolean } }
  /** An account as a caller, with all that it may do now; null where it is gone, inactive or has expired. */
  'principal-of': { request: { accountId: string }; reply: { principal: Principal | null } }
  /** The users and robots that have these names now, as far as there are any. */
  'find-accounts': { request: { names: string[] }; reply: { accounts: { id: string; name: string }[] } }
  /** Of these ids of accounts those that may not pull from a private base path; there may be no such account any more. */
  'list-denied-pulls': { request: { ids: string[]; basePath: string }; reply: { ids: string[] } }
  /**
   * Grants the role `owner` on a namespace to a user or a group, by id or name; it is no error that it was granted already. 404 where there
   * is no such one.
   */
  'grant-namespace': {
    request: { namespace: string; owner: { user?: string; group?: string }; actor: Actor }
    reply: Record<string, never>
  }
  /** The public keys that access tokens are signed with. */
  'list-keys': { request: Record<string, never>; reply: { keys: PublicJwk[] } }
}
