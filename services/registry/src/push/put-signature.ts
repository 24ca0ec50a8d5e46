import type { CatalogCommands, CommandClient, ManifestSignature } from '@berth/commands'
import { type Digest, OciError } from '@berth/oci'
import { auditEntryOf } from '../exchange/audit-entry.ts'
import { type NamedExchange, requireServed, sendEmpty } from '../exchange/exchange.ts'
import type { Follower } from '../model/follow.ts'
import { readBody } from './read-body.ts'

/** Most bytes of one signature; those of GPG have a kilobyte or two. */
const signatureLimitBytes = 16 << 10
// The signature in base64, and the rest of the JSON around it.
const bodyLimitBytes = 24 << 10

/** `PUT /extensions/v2/<name>/signatures/<digest>`: adds a signature to a manifest that is here, as containers/image sends it. */
export async function putSignature(
  exchange: NamedExchange,
  digest: Digest,
  { catalog, follower }: { catalog: CommandClient<CatalogCommands>; follower: Follower },
): Promise<void> {
  const signature = readSignature(await readBody(exchange, bodyLimitBytes, tooLarge), digest)
  const { repositoryName } = await requireServed(exchange)
  const { change, rows } = await catalog.call(
    'put-signature',
    { repository: repositoryName, actor: exchange.caller.actor, signature },
    { requestId: exchange.requestId, audit: auditEntryOf(exchange, 'v2.signature.put', digest) },
  )
  await follower.apply(change.repositoryId, rows)
  sendEmpty(exchange, 201, { location: `/extensions/v2/${exchange.basePath}/signatures/${digest}` })
}

function readSignature(body: Buffer, digest: Digest): ManifestSignature {
  const { schemaVersion, name, type, content } = parseObject(body)
  if (schemaVersion !== 2) throw invalid('schemaVersion', 'must be 2')
  if (type !== 'atomic') throw invalid('type', 'must be "atomic"; put signatures of other kinds in as artifacts')
  const [signed, random = ''] = typeof name === 'string' ? name.split('@', 2) : []
  if (typeof name !== 'string' || signed !== digest || name !== `${digest}@${random}` || !/^[0-9a-f]{32}$/.test(random))
    throw invalid('name', `must be ${digest}, then "@" and 32 hex digits`)
  const bytes = typeof content === 'string' ? Buffer.from(content, 'base64') : undefined
  if (!bytes || bytes.length === 0 || bytes.toString('base64') !== content)
    throw invalid('content', 'must be the signature in base64')
  if (bytes.length > signatureLimitBytes) throw tooLarge()
  return { name, digest, content }
}

function parseObject(body: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body.toString())
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch (cause) {
    throw new OciError('SIGNATURE_INVALID', 'the body must be JSON', { cause })
  }
  throw new OciError('SIGNATURE_INVALID', 'the body must be a JSON object')
}

function invalid(field: string, rule: string): OciError {
  return new OciError('SIGNATURE_INVALID', `${field} ${rule}`, { detail: { field } })
}

function tooLarge(): OciError {
  return new OciError('SIGNATURE_INVALID', `a signature has ${signatureLimitBytes} bytes at most`, { status: 413 })
}
