import type { RequiredSignatures } from '@berth/commands'
import type { Columns } from '@berth/service'

/** `sigstore`: where simple signatures lie. */
export type SignaturePolicy = RequiredSignatures & { sigstore?: string }
export type RemoteTimeouts = { connectSeconds?: number; headersSeconds?: number; idleSeconds?: number }

/** What a client sends to make or change a remote, but for its secrets. */
type OpenFields = {
  name: string
  url: string
  upstreamName?: string | null
  upstreamNames?: string[]
  targetPrefix?: string | null
  policy?: string
  includeTags?: string[]
  excludeTags?: string[]
  platforms?: string[]
  username?: string | null
  tokenHosts?: string[]
  tlsValidation?: boolean
  caCert?: string | null
  clientCert?: string | null
  proxyUrl?: string | null
  proxyUsername?: string | null
  concurrency?: number
  rateLimit?: number | null
  timeouts?: RemoteTimeouts | null
  retries?: number
  includeForeignLayers?: boolean
  signatures?: SignaturePolicy | null
  redirectHosts?: string[]
  allowPrivateAddresses?: boolean
}
/** What is sealed before it is stored, and never shown. */
type Secrets = {
  password?: string | null
  token?: string | null
  clientKey?: string | null
  proxyPassword?: string | null
  headers?: Record<string, string> | null
}
export type RemoteBody = OpenFields & Secrets
export type SecretField = keyof Secrets

/** Which secrets the remote would have, and its private key where that is at hand. */
export type Held = { has: (field: SecretField) => boolean; clientKey: string | undefined }

/** The columns of what can be shown. */
export const columns: Columns<OpenFields> = {
  name: { column: 'name' },
  url: { column: 'url' },
  upstreamName: { column: 'upstream_name' },
  upstreamNames: { column: 'upstream_names' },
  targetPrefix: { column: 'target_prefix' },
  policy: { column: 'policy' },
  includeTags: { column: 'include_tags' },
  excludeTags: { column: 'exclude_tags' },
  platforms: { column: 'platforms' },
  username: { column: 'username' },
  tokenHosts: { column: 'token_hosts' },
  tlsValidation: { column: 'tls_validation' },
  caCert: { column: 'ca_cert' },
  clientCert: { column: 'client_cert' },
  proxyUrl: { column: 'proxy_url' },
  proxyUsername: { column: 'proxy_username' },
  concurrency: { column: 'concurrency' },
  rateLimit: { column: 'rate_limit' },
  timeouts: { column: 'timeouts', isJson: true },
  retries: { column: 'retries' },
  includeForeignLayers: { column: 'include_foreign_layers' },
  signatures: { column: 'signatures', isJson: true },
  redirectHosts: { column: 'redirect_hosts' },
  allowPrivateAddresses: { column: 'allow_private_addresses' },
}

/** The columns of what is sealed. */
export const sealedColumns: Record<SecretField, string> = {
  password: 'sealed_password',
  token: 'sealed_token',
  clientKey: 'sealed_client_key',
  proxyPassword: 'sealed_proxy_password',
  headers: 'sealed_headers',
}

/** Whose secret it is, so that it cannot be opened as another one. */
export function secretContext(remoteId: string, field: SecretField): string {
  return `${remoteId}:${field}`
}
