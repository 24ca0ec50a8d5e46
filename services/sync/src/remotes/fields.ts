import type { RequiredSignatures } from '@berth/commands'
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
export type OpenField = keyof OpenFields
export type SecretField = keyof Secrets

/** Which secrets the remote would have, and its private key where that is at hand. */
export type Held = { has: (field: SecretField) => boolean; clientKey: string | undefined }

/** The columns of what can be shown. */
export const columns: Record<OpenField, string> = {
  name: 'name',
  url: 'url',
  upstreamName: 'upstream_name',
  upstreamNames: 'upstream_names',
  targetPrefix: 'target_prefix',
  policy: 'policy',
  includeTags: 'include_tags',
  excludeTags: 'exclude_tags',
  platforms: 'platforms',
  username: 'username',
  tokenHosts: 'token_hosts',
  tlsValidation: 'tls_validation',
  caCert: 'ca_cert',
  clientCert: 'client_cert',
  proxyUrl: 'proxy_url',
  proxyUsername: 'proxy_username',
  concurrency: 'concurrency',
  rateLimit: 'rate_limit',
  timeouts: 'timeouts',
  retries: 'retries',
  includeForeignLayers: 'include_foreign_layers',
  signatures: 'signatures',
  redirectHosts: 'redirect_hosts',
  allowPrivateAddresses: 'allow_private_addresses',
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
