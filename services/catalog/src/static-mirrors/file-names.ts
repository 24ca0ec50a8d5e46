import { algorithmOf, type Digest, hexOf, mediaTypes } from '@berth/oci'

/**
 * How a manifest's type stands in the name of its file, and so in what a web server says of it: its configuration stays as it is
 * whatever comes into the mirror. Most wanted first, for that is the order in which they are tried.
 */
export const endings: readonly (readonly [ending: string, mediaType: string])[] = [
  ['oci-manifest', mediaTypes.ociManifest],
  ['oci-index', mediaTypes.ociIndex],
  ['docker-manifest', mediaTypes.dockerManifest],
  ['docker-list', mediaTypes.dockerList],
  ['oci-artifact', mediaTypes.ociArtifact],
  ['docker-schema1-signed', mediaTypes.dockerSchema1Signed],
  ['docker-schema1', mediaTypes.dockerSchema1],
]

const endingOf = new Map(endings.map(([ending, mediaType]) => [mediaType, ending]))

// No part of a repository's name begins with "_" (distribution-spec, "Pulling manifests"), so these are in nobody's way.
export const tagsFolder = '_tags'
export const manifestsFolder = '_manifests'
export const referrersFolder = '_referrers'
export const ownFolders: readonly string[] = [tagsFolder, manifestsFolder, referrersFolder]
export const tagListName = '_tags.json'

export const catalogName = 'catalog.json'
export const noReferrersName = 'no-referrers.json'
export const apiFolder = 'v2'
export const blobsFolder = 'blobs'

const placeOf = (digest: Digest) => `${algorithmOf(digest)}/${hexOf(digest)}`

/** `blobs/sha256/<hex>`: each once, whatever repositories have it. */
export function blobFile(digest: Digest): string {
  return `${blobsFolder}/${placeOf(digest)}`
}

export function repositoryFolder(repository: string): string {
  return `${apiFolder}/${repository}`
}

/** Throws for a type that is none of a manifest; catalog takes no such. */
export function manifestFile(repository: string, digest: Digest, mediaType: string): string {
  return `${repositoryFolder(repository)}/${manifestsFolder}/${placeOf(digest)}.${endingFor(mediaType)}`
}

export function tagFile(repository: string, tag: string, mediaType: string): string {
  return `${repositoryFolder(repository)}/${tagsFolder}/${tag}.${endingFor(mediaType)}`
}

export function referrersFile(repository: string, subject: Digest): string {
  return `${repositoryFolder(repository)}/${referrersFolder}/${placeOf(subject)}.json`
}

export function tagListFile(repository: string): string {
  return `${repositoryFolder(repository)}/${tagListName}`
}

function endingFor(mediaType: string): string {
  const ending = endingOf.get(mediaType)
  if (ending === undefined) throw new Error(`${mediaType} is no type of a manifest`)
  return ending
}

/** What a name in one of the folders stands for, without how its type is said; `undefined`: nothing of ours. */
export function withoutEnding(name: string): { stem: string; mediaType: string } | undefined {
  const at = name.lastIndexOf('.')
  const found = endings.find(([ending]) => ending === name.slice(at + 1))
  return at > 0 && found ? { stem: name.slice(0, at), mediaType: found[1] } : undefined
}
