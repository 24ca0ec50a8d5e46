import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import { type NamedExchange, requireServed, sendJson } from '../exchange/exchange.ts'
import { listSignatures } from '../model/lists.ts'

/**
 * `GET /extensions/v2/<name>/signatures/<digest>`: the signatures of a manifest. None for a manifest that is not there:
 * clients ask after the sha256 of whatever they got, and take any other answer for a failure of their pull.
 */
export async function sendSignatures(exchange: NamedExchange, digest: Digest, db: Database): Promise<void> {
  const found = await listSignatures(db, await requireServed(exchange), digest)
  const signatures = found.map(({ name, content }) => ({ schemaVersion: 2, name, type: 'atomic', content }))
  sendJson(exchange, 200, { signatures })
}
