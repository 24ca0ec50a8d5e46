/** The media types of manifests. */
export const mediaTypes = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociArtifact: 'application/vnd.oci.artifact.manifest.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerSchema1: 'application/vnd.docker.distribution.manifest.v1+json',
  dockerSchema1Signed: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
} as const

/** Manifest types, most wanted first, as a client that understands everything puts them into `Accept`. */
export const manifestMediaTypes: readonly string[] = Object.values(mediaTypes)

const application = /^application\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/i

/**
 * The type with which stored bytes are served: their own, unless it was stored before only types of manifests were taken and
 * would be a page to a browser, or no header at all (RFC 6838 §4.2).
 */
export function servableType(mediaType: string): string {
  return application.test(mediaType) ? mediaType : 'application/octet-stream'
}

const knownManifests = new Set(manifestMediaTypes)

/** Whether the type is one of a manifest; nothing else is stored beside the bytes of one and served as their type. */
export function isManifestType(mediaType: string): boolean {
  return knownManifests.has(mediaType)
}

const foreignLayers = new Set([
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  'application/vnd.docker.image.rootfs.foreign.diff.tar',
  'application/vnd.oci.image.layer.nondistributable.v1.tar',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
])

/** Whether a layer of this type may lie elsewhere, at the descriptor's `urls` (image-spec layer.md, "Non-Distributable Layers"). */
export function isForeignLayer(mediaType: string): boolean {
  return foreignLayers.has(mediaType)
}

const blobTypes =
  /^application\/vnd\.(?:oci\.image\.(?:layer|config)\.|docker\.(?:container\.)?image\.|buildkit\.cacheconfig\.)/

/** Whether a type is surely one of a blob, a layer or a configuration, wherever it is named. */
export function isBlobType(mediaType: string): boolean {
  return blobTypes.test(mediaType)
}

/** Whether the type is Docker's first form of manifest, signed or not. */
export function isSchema1Type(mediaType: string): boolean {
  return mediaType === mediaTypes.dockerSchema1 || mediaType === mediaTypes.dockerSchema1Signed
}

/** Whether the type is a manifest list or an image index. */
export function isIndexType(mediaType: string): boolean {
  return mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerList
}
