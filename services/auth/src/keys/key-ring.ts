import { createPrivateKey, type KeyObject } from 'node:crypto'
import { startLoop } from '@berth/bus'
import { type Database, type Logger, type Sealer, StartupError } from '@berth/service'
import { createTokenCheck, type PublicJwk, type TokenCheck } from '@berth/tokens'

export type SigningKey = { kid: string; privateKey: KeyObject }

/** The keys of this installation as this replica knows them. */
export type KeyRing = {
  signing(): SigningKey
  check: TokenCheck
  refresh(): Promise<void>
  stop(): Promise<void>
}

const refreshEveryMs = 10_000
// Longer than a token lives (240 s), with the tolerance for clocks (60 s) and the time other replicas take to refresh.
const publishedAfterMinutes = 15

/** The public keys that tokens which are still valid, or will be, are signed with. */
export async function publicKeys(db: Database): Promise<PublicJwk[]> {
  const rows = await db.query<{ jwk: PublicJwk }>(
    `select public_jwk as jwk
     from signing_key
     where retired_at is null or retired_at > now() - make_interval(mins => $1)
     order by created_at`,
    [publishedAfterMinutes],
  )
  return rows.map((row) => row.jwk)
}

/**
 * Opens the keys, and follows the rotations of other replicas. Throws `StartupError` when BERTH_SECRETS_KEY is not the one they
 * were sealed with.
 */
export async function openKeyRing(db: Database, sealer: Sealer, log: Logger): Promise<KeyRing> {
  const check = createTokenCheck()
  let signing: SigningKey | undefined
  const refresh = async () => {
    const [row] = await db.query<{ kid: string; sealed: Buffer }>(
      "select kid, sealed_private_key as sealed from signing_key where state = 'signing'",
    )
    if (!row) throw new Error('there is no signing key')
    if (row.kid === signing?.kid) {
      check.setKeys(await publicKeys(db))
      return
    }
    const privateKey = openKey(sealer, row)
    check.setKeys(await publicKeys(db))
    signing = { kid: row.kid, privateKey }
  }
  await refresh()
  const loop = startLoop({
    pollMs: refreshEveryMs,
    pauseAfterFailureMs: refreshEveryMs,
    onError: (error) => log.warn('signing keys could not be read', { error }),
    run: refresh,
  })
  return {
    signing: () => {
      if (!signing) throw new Error('there is no signing key')
      return signing
    },
    check,
    refresh,
    stop: loop.stop,
  }
}

function openKey(sealer: Sealer, row: { kid: string; sealed: Buffer }): KeyObject {
  try {
    return createPrivateKey(sealer.open(row.sealed, row.kid))
  } catch (cause) {
    throw new StartupError(
      'the signing key cannot be opened with this BERTH_SECRETS_KEY',
      'start with the BERTH_SECRETS_KEY of this installation',
      { cause },
    )
  }
}
