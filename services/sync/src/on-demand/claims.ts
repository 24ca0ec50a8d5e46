import { randomUUID } from 'node:crypto'
import { startLoop } from '@berth/bus'
import type { Digest } from '@berth/oci'
import type { Database, Logger } from '@berth/service'

const claimSeconds = 15
const renewEveryMs = 5_000

/** Which replica fetches a blob: this one, until `release`, or another one at its address. */
type Claim = { isOurs: true; release(): Promise<void> } | { isOurs: false; owner: string; address: string }

export type Claims = {
  /** Claims a digest, unless another replica that can be found has done so. */
  claim(digest: Digest): Promise<Claim>
  /** Ends the claim of a replica that does not answer. */
  revoke(digest: Digest, owner: string): Promise<void>
}

/** Claims of this replica. `address` is where the others find its internal listener; without one they fetch for themselves. */
export function createClaims(db: Database, log: Logger, address: string | undefined): Claims {
  const self = randomUUID()
  const hold = (digest: Digest) => {
    const renewing = startLoop({
      pollMs: renewEveryMs,
      pauseAfterFailureMs: renewEveryMs,
      onError: (error) => log.warn('the claim of a blob is not renewed', { digest, error }),
      // A claim that is lost went to another replica, which fetches too: the bytes are the same.
      run: async () => {
        await db.query(
          'update fetch_claim set deadline = now() + make_interval(secs => $3) where digest = $1 and owner = $2',
          [digest, self, claimSeconds],
        )
      },
    })
    return {
      isOurs: true as const,
      release: async () => {
        await renewing.stop()
        await db.query('delete from fetch_claim where digest = $1 and owner = $2', [digest, self])
      },
    }
  }
  return {
    claim: async (digest) => {
      for (;;) {
        // A replica that claimed it at this address was killed: this one would ask itself, and that again.
        const ours = await db.query(
          `insert into fetch_claim as held (digest, owner, address, deadline)
           values ($1, $2, $3, now() + make_interval(secs => $4))
           on conflict (digest) do update set owner = excluded.owner, address = excluded.address, deadline = excluded.deadline
           where held.deadline < now() or held.address is null or held.owner = excluded.owner or held.address = excluded.address
           returning digest`,
          [digest, self, address ?? null, claimSeconds],
        )
        if (ours.length > 0) return hold(digest)
        const [other] = await db.query<{ owner: string; address: string }>(
          'select owner, address from fetch_claim where digest = $1',
          [digest],
        )
        if (other) return { isOurs: false, ...other }
      }
    },
    revoke: async (digest, owner) => {
      await db.query('delete from fetch_claim where digest = $1 and owner = $2', [digest, owner])
    },
  }
}
