import type { CatalogCommands, CommandClient } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { auditEntryOf } from '../exchange/audit-entry.ts'
import { type NamedExchange, requireServed, sendEmpty } from '../exchange/exchange.ts'
import type { Follower } from '../model/follow.ts'

type Deps = { catalog: CommandClient<CatalogCommands>; follower: Follower }

/**
 * `DELETE /v2/<name>/manifests/<reference>`: a tag, or a manifest with all its tags; gone at once (distribution-spec, "Content
 * Management").
 */
export async function deleteManifest(
  exchange: NamedExchange,
  reference: { tag?: string | undefined; digest?: Digest | undefined },
  { catalog, follower }: Deps,
): Promise<void> {
  const request = {
    repository: (await requireServed(exchange)).repositoryName,
    actor: exchange.caller.actor,
    ...(reference.digest ? { digest: reference.digest } : { tag: reference.tag ?? '' }),
  }
  const { requestId } = exchange
  const audit = auditEntryOf(exchange, 'v2.manifest.delete', reference.digest ?? reference.tag ?? '')
  const { change, rows } = await catalog.call('delete-reference', request, { requestId, audit })
  await follower.apply(change.repositoryId, rows)
  sendEmpty(exchange, 202)
}

/** `DELETE /v2/<name>/blobs/<digest>`: refused while a manifest of the repository names it. */
export async function deleteBlob(exchange: NamedExchange, digest: Digest, { catalog, follower }: Deps): Promise<void> {
  const { change, rows } = await catalog.call(
    'delete-blob-link',
    { repository: (await requireServed(exchange)).repositoryName, actor: exchange.caller.actor, digest },
    { requestId: exchange.requestId, audit: auditEntryOf(exchange, 'v2.blob.delete', digest) },
  )
  await follower.apply(change.repositoryId, rows)
  sendEmpty(exchange, 202)
}
