import { type Database, type Resealed, resealAll, type Sealer } from '@berth/service'

/** Seals the signing keys anew that are sealed under a previous key. */
export async function resealKeys(db: Database, sealer: Sealer): Promise<Resealed> {
  return resealAll(db, sealer, { table: 'signing_key', id: 'kid', columns: { sealed_private_key: (kid) => kid } })
}
