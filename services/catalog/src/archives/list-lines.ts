import { type Digest, isManifestType, isTag } from '@berth/oci'
import { BadArchive } from './bad-archive.ts'
import { countOf, digestOf, type Given, has, markOf, objectIn, placeOf, wordOf } from './checks.ts'

/**
 * A manifest. `mediaType`: what it was pushed as, where its bytes do not say. `envelope`: the blob that has the signed form of a
 * schema 1 manifest. `held`: the base of a delta has it, so it is not carried.
 */
export type ManifestLine = {
  manifest: Digest
  size: number
  mediaType?: string
  envelope?: Digest
  held?: true
}
/** A configuration or layer. `foreign`: nobody stores it; where it is to be had its manifest says. */
export type BlobLine = { blob: Digest; size: number; held?: true; foreign?: true }
export type TagLine = { tag: string; digest: Digest }
/** An atomic signature: its name is `<digest>@<name>`. */
export type SignatureLine = { signature: string; digest: Digest; content: string }

/** One line of `berth/<n>.ndjson`; the kinds stand in this order, each sorted by the bytes of its first member. */
export type ListLine = ManifestLine | BlobLine | TagLine | SignatureLine

/** A line that is longer was not written by Berth. */
export const lineLimitBytes = 64 << 10

// As every other door has it.
const signatureName = /^[0-9a-f]{32}$/

const kinds = ['manifest', 'blob', 'tag', 'signature'] as const

/** The text of a line with its end. */
export function writeLine(line: ListLine): string {
  return `${JSON.stringify(line)}\n`
}

/**
 * Reads the lines of one list in their order: a line that is out of order, or there twice, is refused like one that says nothing.
 * Of each kind the first member of a line is its key.
 */
export function createLineReader(member: string): (text: string) => ListLine {
  let number = 0
  let kindBefore = 0
  let keyBefore = ''
  return (text) => {
    const place = `${member}:${++number}`
    const line = readLine(text, place)
    const kind = kinds.findIndex((one) => one in line)
    const key = Object.values(line)[0] as string
    if (kind < kindBefore || (kind === kindBefore && key <= keyBefore))
      throw new BadArchive(place, 'is not behind the line before it: it is there twice, or lines were moved')
    kindBefore = kind
    keyBefore = key
    return line
  }
}

function readLine(text: string, place: string): ListLine {
  const given = objectIn(parse(text, place), place)
  if (has(given, 'manifest')) return readManifest(given)
  if (has(given, 'blob')) return readBlob(given)
  if (has(given, 'tag')) return { tag: wordOf(given, 'tag', 'tag', isTag), digest: digestOf(given, 'digest') }
  if (has(given, 'signature')) return readSignature(given)
  throw new BadArchive(place, `is none of ${kinds.join(', ')}`)
}

function readSignature(given: Given): SignatureLine {
  const digest = digestOf(given, 'digest')
  const isName = (text: string) => text.startsWith(`${digest}@`) && signatureName.test(text.slice(digest.length + 1))
  return {
    signature: wordOf(given, 'signature', `name of a signature of ${digest}`, isName),
    digest,
    content: wordOf(given, 'content', 'signature in base64', isSignature),
  }
}

function isSignature(text: string): boolean {
  return text !== '' && text.length <= 32 << 10 && Buffer.from(text, 'base64').toString('base64') === text
}

function readManifest(given: Given): ManifestLine {
  return {
    manifest: digestOf(given, 'manifest'),
    size: countOf(given, 'size'),
    ...(has(given, 'mediaType') ? { mediaType: wordOf(given, 'mediaType', 'type of a manifest', isManifestType) } : {}),
    ...(has(given, 'envelope') ? { envelope: digestOf(given, 'envelope') } : {}),
    ...(markOf(given, 'held') ? { held: true } : {}),
  }
}

function readBlob(given: Given): BlobLine {
  const isHeld = markOf(given, 'held')
  const isForeign = markOf(given, 'foreign')
  if (isHeld && isForeign) throw new BadArchive(placeOf(given, 'foreign'), 'stands beside held')
  return {
    blob: digestOf(given, 'blob'),
    size: countOf(given, 'size'),
    ...(isHeld ? { held: true } : {}),
    ...(isForeign ? { foreign: true } : {}),
  }
}

function parse(text: string, place: string): unknown {
  if (text.length > lineLimitBytes) throw new BadArchive(place, `has more than ${lineLimitBytes} bytes`)
  try {
    return JSON.parse(text)
  } catch {
    throw new BadArchive(place, 'is no JSON')
  }
}
