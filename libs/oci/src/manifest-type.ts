import { isAbsent, isObject, type Json } from './descriptor.ts'
import { isIndexType, isManifestType, isSchema1Type, mediaTypes } from './media-types.ts'
import { invalidManifest } from './oci-error.ts'

// Clients that know nothing better, and curl, send these; the body then speaks for itself.
const vague = new Set(['', 'application/json', 'application/octet-stream', 'application/x-www-form-urlencoded'])

/**
 * The type that a client says by Content-Type, if it says one (RFC 9110 §8.3.1: in any case, and without its parameters). Throws
 * MANIFEST_INVALID where header or body name what is no type of a manifest, or two of them.
 */
export function pushedType(body: Json, contentType: string | undefined): string | undefined {
  const header = contentType?.split(';')[0]?.trim().toLowerCase() ?? ''
  const said = vague.has(header) ? undefined : header
  const own = typeof body.mediaType === 'string' && body.mediaType !== '' ? body.mediaType : undefined
  for (const [field, type] of [
    ['"mediaType"', own],
    ['Content-Type', said],
  ] as const)
    if (type !== undefined && !isManifestType(type))
      throw invalidManifest(`${field} says ${JSON.stringify(type.slice(0, 100))}, which is no type of a manifest`)
  if (own && said && own !== said) throw invalidManifest(`Content-Type says ${said} and "mediaType" says ${own}`)
  return said
}

/**
 * The type that a body has by its own `mediaType`, or else by its structure. `otherwise` is what is believed of one that shows
 * neither.
 */
export function typeOfBody(body: Json, otherwise?: string): string {
  if (typeof body.mediaType === 'string' && isManifestType(body.mediaType)) return body.mediaType
  if (body.schemaVersion === 1) return body.signatures ? mediaTypes.dockerSchema1Signed : mediaTypes.dockerSchema1
  if (Array.isArray(body.manifests)) return mediaTypes.ociIndex
  if (Array.isArray(body.layers) || isObject(body.config)) return mediaTypes.ociManifest
  if (Array.isArray(body.blobs)) return mediaTypes.ociArtifact
  if (body.manifests === null) return mediaTypes.ociIndex
  if (otherwise !== undefined) return otherwise
  throw invalidManifest('it names no media type, neither in Content-Type nor in "mediaType"')
}

/**
 * Refuses a body that is not what its type says, or that could be read two ways (CVE-2021-41190). A list that is null or missing is an
 * empty one wherever other registries take it so (docs/protocol.md#leniency).
 */
export function checkStructure(body: Json, mediaType: string): void {
  if (isSchema1Type(mediaType)) throw invalidManifest(`it is no ${mediaType}`)
  const isArtifact = mediaType === mediaTypes.ociArtifact
  // Artifact manifests never had this field; their writers mostly send it.
  const { schemaVersion } = body
  if (schemaVersion !== 2 && !(isArtifact && schemaVersion === undefined))
    throw invalidManifest(`schemaVersion must be 2, not ${JSON.stringify(schemaVersion)}`)
  const isOfImage = !isAbsent(body.layers) || !isAbsent(body.config)
  if (!isAbsent(body.manifests) && isOfImage)
    throw invalidManifest('a manifest has either "manifests" or "layers" and "config", never both')
  if (isIndexType(mediaType)) {
    if (!Array.isArray(body.manifests) && body.manifests !== null)
      throw invalidManifest('an index needs the array "manifests"')
    if (isOfImage) throw invalidManifest(`"layers" and "config" do not belong into ${mediaType}`)
    return
  }
  if (!isAbsent(body.manifests)) throw invalidManifest(`"manifests" does not belong into ${mediaType}`)
  if (isArtifact) {
    if (isOfImage) throw invalidManifest(`"layers" and "config" do not belong into ${mediaType}`)
  } else if (!isObject(body.config)) throw invalidManifest('an image manifest needs the descriptor "config"')
}
