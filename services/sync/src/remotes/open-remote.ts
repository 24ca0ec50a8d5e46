import {
  type Credentials,
  createRegistryClient,
  normalizeRegistryUrl,
  type RegistryClient,
  upstreamRepository,
} from '@berth/registry-client'
import type { Sealer } from '@berth/service'
import type { Remote } from '../db/generated/client.ts'

export type OpenRemote = { client: RegistryClient; repository: string; host: string }

/** Makes the client of a remote. Its credentials are opened here and go nowhere else. */
export function openRemote(remote: Remote, sealer: Sealer): OpenRemote {
  const url = normalizeRegistryUrl(remote.url)
  const client = createRegistryClient({
    url: url.href,
    credentials: credentialsOf(remote, sealer),
    tls: { verify: remote.tlsValidation, ca: remote.caCert ?? undefined },
    concurrency: remote.concurrency,
    retries: remote.retries,
    allowPrivateAddresses: remote.allowPrivateAddresses,
  })
  return { client, repository: upstreamRepository(url, remote.upstreamName), host: url.host }
}

function credentialsOf(remote: Remote, sealer: Sealer): Credentials | undefined {
  const { id, username, sealedPassword, sealedToken } = remote
  if (sealedToken) return { token: sealer.open(Buffer.from(sealedToken), `${id}:token`) }
  if (username !== null && sealedPassword)
    return { username, password: sealer.open(Buffer.from(sealedPassword), `${id}:password`) }
  return undefined
}
