import { createPrivateKey, generateKeyPairSync, hkdfSync, type KeyObject } from 'node:crypto'
import { createSealer, type Database, type Sealer } from '@berth/service'

const context = 'schema 1'

/**
 * Opens the key that manifests made for old clients are signed with; it is made at its first use and kept, sealed under
 * registry's own key, for all replicas. No client has to trust it: with another key of registry there is simply a new one.
 */
export function createSchema1Key(db: Database, secret: string | Buffer): () => Promise<KeyObject> {
  const sealing = hkdfSync('sha256', secret, '', 'berth schema 1 signing key', 32)
  const sealer = createSealer(Buffer.from(sealing).toString('hex'))
  let opened: Promise<KeyObject> | undefined
  return () => {
    opened ??= openKey(db, sealer).catch((error: unknown) => {
      // The database may be away; the next client tries again.
      opened = undefined
      throw error
    })
    return opened
  }
}

async function openKey(db: Database, sealer: Sealer): Promise<KeyObject> {
  const known = await read(db, sealer)
  if (known.key) return known.key
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const sealed = sealer.seal(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(), context)
  // Only over what could not be opened: of several replicas that make one, the first one's stays.
  await db.query(
    `insert into schema1_key (sealed)
     values ($1)
     on conflict (single) do update set sealed = excluded.sealed, made_at = now()
     where schema1_key.sealed = $2`,
    [sealed, known.sealed ?? null],
  )
  return (await read(db, sealer)).key ?? privateKey
}

async function read(db: Database, sealer: Sealer): Promise<{ sealed?: Buffer; key?: KeyObject }> {
  const [row] = await db.query<{ sealed: Buffer }>('select sealed from schema1_key')
  if (!row) return {}
  try {
    return { sealed: row.sealed, key: createPrivateKey(sealer.open(row.sealed, context)) }
  } catch {
    // Sealed under another key of registry: of no use any more, and replaced.
    return { sealed: row.sealed }
  }
}
