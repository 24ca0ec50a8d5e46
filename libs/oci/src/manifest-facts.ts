import { jsonDepth } from './json-scan.ts'
import { jsonDepthLimit, type ParsedManifest } from './manifest.ts'
import { isSchema1Type } from './media-types.ts'

/** What a manifest is of, for users who look for something. */
export const manifestKinds = [
  'image',
  'index',
  'helm',
  'signature',
  'sbom',
  'attestation',
  'wasm',
  'flatpak',
  'bootable',
  'artifact',
] as const
export type ManifestKind = (typeof manifestKinds)[number]

/** What can be looked for in manifests: out of themselves, and out of the configuration of an image. */
export type ManifestFacts = {
  kind: ManifestKind
  /** Of all layers, as they are stored and sent; an index has none. */
  compressedBytes: number
  architecture?: string
  os?: string
  variant?: string
  /** When the image was made, by its own words, in ISO 8601. */
  createdAt?: string
  labels?: Record<string, string>
}

type Described = Pick<ParsedManifest, 'mediaType' | 'isIndex' | 'artifactType' | 'annotations' | 'references'>

/** Largest configuration that is looked into, in bytes; those of images have a few kilobytes. */
export const configLimitBytes = 1 << 20
const mostLabels = 256
const longestLabel = 4_096
const longestName = 128

const imageConfigs = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
])
const wasmTypes = /^application\/(?:vnd\.wasm\.|vnd\.module\.wasm\.|wasm$)/
const signatureTypes = [
  'application/vnd.dev.cosign.simplesigning.v1+json',
  'application/vnd.dev.cosign.artifact.sig.v1+json',
  'application/vnd.cncf.notary.signature',
]
const attestationTypes = /^application\/(?:vnd\.in-toto\+(?:json|dsse)|vnd\.in-toto\.|vnd\.dsse\.envelope\.)/
const sbomTypes = /spdx|cyclonedx|vnd\.syft|[./-]sbom\b/
const sigstoreBundle = 'application/vnd.dev.sigstore.bundle'

/** The configuration of a manifest, if facts can be read out of it. */
export function readableConfig({ references }: Pick<Described, 'references'>) {
  const config = references.find(({ role }) => role === 'config')
  if (!config || config.sizeBytes > configLimitBytes) return undefined
  return imageConfigs.has(config.mediaType) || wasmTypes.test(config.mediaType) ? config : undefined
}

/** The facts of a manifest. Without its configuration, or with one that makes no sense, those that it says itself. */
export function manifestFacts(manifest: Described, config?: Uint8Array): ManifestFacts {
  const layers = manifest.references.filter(({ role }) => role === 'layer')
  const compressedBytes = layers.reduce((sum, layer) => sum + layer.sizeBytes, 0)
  const read = config && readConfig(config)
  return { kind: kindOf(manifest, read), compressedBytes, ...read }
}

function kindOf(
  { mediaType, isIndex, artifactType = '', annotations, references }: Described,
  config: ConfigFacts | undefined,
): ManifestKind {
  if (isIndex) return 'index'
  const layers = references.filter(({ role }) => role === 'layer').map((layer) => layer.mediaType)
  const configType = references.find(({ role }) => role === 'config')?.mediaType ?? ''
  const types = [artifactType, configType, ...layers]
  if (types.includes('application/vnd.cncf.helm.config.v1+json')) return 'helm'
  if (types.some((type) => signatureTypes.includes(type))) return 'signature'
  // A bundle holds either; its maker says which (sigstore bundle, "OCI attachment").
  if (types.some((type) => type.startsWith(sigstoreBundle)))
    return annotations['dev.sigstore.bundle.content'] === 'dsse-envelope' ? 'attestation' : 'signature'
  if (types.some((type) => attestationTypes.test(type))) return 'attestation'
  if (types.some((type) => sbomTypes.test(type))) return 'sbom'
  if (types.some((type) => wasmTypes.test(type)) || config?.architecture === 'wasm') return 'wasm'
  const labels = { ...annotations, ...config?.labels }
  if (labels['org.flatpak.ref'] !== undefined) return 'flatpak'
  if (labels['containers.bootc'] !== undefined || labels['ostree.bootable'] !== undefined) return 'bootable'
  return imageConfigs.has(configType) || isSchema1Type(mediaType) ? 'image' : 'artifact'
}

type ConfigFacts = Omit<ManifestFacts, 'kind' | 'compressedBytes'>

/**
 * Fields as in image-spec config.md. What is no text, too long, or cannot be stored is left out, because its author is not
 * Berth.
 */
function readConfig(bytes: Uint8Array): ConfigFacts | undefined {
  if (bytes.length > configLimitBytes) return undefined
  const text = new TextDecoder().decode(bytes)
  if (jsonDepth(text) > jsonDepthLimit) return undefined
  const body = objectOf(parse(text))
  if (!body) return undefined
  const made = typeof body.created === 'string' ? new Date(body.created) : undefined
  const labels = readLabels(objectOf(objectOf(body.config)?.Labels))
  return {
    ...nameAt(body, 'architecture'),
    ...nameAt(body, 'os'),
    ...nameAt(body, 'variant'),
    // Years of more than four digits are no times of an image.
    ...(made && made.getTime() >= 0 && made.getUTCFullYear() < 10_000 ? { createdAt: made.toISOString() } : {}),
    ...(labels ? { labels } : {}),
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function readLabels(labels: Record<string, unknown> | undefined): Record<string, string> | undefined {
  if (!labels) return undefined
  const entries = Object.entries(labels).filter((entry): entry is [string, string] =>
    entry.every((text) => isText(text, longestLabel)),
  )
  return Object.fromEntries(entries.slice(0, mostLabels))
}

function nameAt<Key extends string>(body: Record<string, unknown>, key: Key): { [K in Key]?: string } {
  const value = body[key]
  return isText(value, longestName) && value !== '' ? ({ [key]: value } as { [K in Key]?: string }) : {}
}

function isText(value: unknown, longest: number): value is string {
  return typeof value === 'string' && value.length <= longest && !value.includes('\0') && value.isWellFormed()
}

function objectOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined
}
