import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { authEvents, recordEvents } from '@berth/bus'
import { type Actor, type Database, Problem, type Sealer, type Sql } from '@berth/service'

/** Taken for each change of the keys, so that replicas take turns. */
const lockKeys = "select pg_advisory_xact_lock(hashtextextended('berth signing keys', 0))"

/** Makes the first keys when there are none: one that signs, and the one that will follow it. */
export async function ensureKeys(db: Database, sealer: Sealer): Promise<void> {
  await db.transaction(async (sql) => {
    await sql.query(lockKeys)
    const present = await sql.query<{ state: string }>("select state from signing_key where state <> 'retired'")
    for (const state of ['signing', 'next'])
      if (!present.some((key) => key.state === state)) await insertKey(sql, sealer, state)
  })
}

/**
 * Signs with the next key from now on. Every verifier knows it already, because it has been published since the rotation
 * before; so no token is refused for a key that has not got round yet. The key that signed until now stays published until
 * its last token has run out. 409 for a rotation so soon that verifiers may not have fetched the next key.
 */
export async function rotateKeys(
  db: Database,
  sealer: Sealer,
  actor: Actor,
): Promise<{ kid: string; notBefore: string }> {
  return db.transaction(async (sql) => {
    await sql.query(lockKeys)
    await refuseTooSoon(sql)
    await sql.query("update signing_key set state = 'retired', retired_at = now() where state = 'signing'")
    const [key] = await sql.query<{ kid: string; now: Date }>(
      `update signing_key
       set state = 'signing'
       where state = 'next'
       returning kid, now()`,
    )
    if (!key) throw new Error('there is no key to rotate to')
    await insertKey(sql, sealer, 'next')
    const rotated = { kid: key.kid, notBefore: key.now.toISOString() }
    await recordEvents(sql, [{ kind: authEvents.keyRotated, data: rotated, actor }])
    return rotated
  })
}

// Verifiers ask for the keys once a minute.
const publishedSeconds = 90

async function refuseTooSoon(sql: Sql): Promise<void> {
  const [next] = await sql.query<{ wait: number }>(
    `select ceil(extract(epoch from created_at + make_interval(secs => $1) - now()))::integer as wait from signing_key
     where state = 'next' and exists (select from signing_key where state = 'retired')`,
    [publishedSeconds],
  )
  if (!next || next.wait <= 0) return
  throw new Problem(409, 'rotated_just_now', 'The keys were rotated a moment ago.', {
    hint: `The next key has to reach all verifiers first; try again in ${next.wait} seconds.`,
    headers: { 'retry-after': String(next.wait) },
  })
}

async function insertKey(sql: Sql, sealer: Sealer, state: string): Promise<void> {
  const kid = randomBytes(12).toString('base64url')
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x, y } = publicKey.export({ format: 'jwk' })
  await sql.query('insert into signing_key (kid, sealed_private_key, public_jwk, state) values ($1, $2, $3, $4)', [
    kid,
    sealer.seal(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(), kid),
    JSON.stringify({ kty: 'EC', crv: 'P-256', x, y, kid, use: 'sig', alg: 'ES256' }),
    state,
  ])
}
