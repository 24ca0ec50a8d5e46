import { type Digest, isRepositoryName } from '@berth/oci'
import { isUuid } from '@berth/service'
import { BadArchive } from './bad-archive.ts'
import {
  countOf,
  digestOf,
  flagOf,
  type Given,
  has,
  listOf,
  objectIn,
  objectOf,
  placeOf,
  textOf,
  textsOf,
  versionOf,
  wordOf,
} from './checks.ts'
import { indexName, listName } from './member-names.ts'

/** The format that is written, and the newest that is read. */
export const formatVersion = 1

/** A document that is larger was not written by Berth: it fits into memory, and is read as a whole. */
export const indexLimitBytes = 32 << 20
export const mostRepositories = 10_000

/** A version as it was at its origin: facts, that decide nothing but whether a delta fits. */
export type VersionFact = { number: number; contentHash: string; cause: string; createdAt: string }

export type Counts = { tags: number; manifests: number; blobs: number; signatures: number }

export type ExportedRepository = {
  name: string
  id: string
  description: string
  labels: Record<string, string>
  immutableTags: string[]
  version: VersionFact & { counts: Counts }
  /** In a delta: the version that has all that is not carried. */
  since?: { number: number; contentHash: string }
  facts: VersionFact[]
  contents: { member: string; digest: Digest; size: number; lines: number }
}

export type ExportedDistribution = {
  name: string
  basePath: string
  repository: string
  /** The version that is pinned; absent: always the latest. */
  version?: number
  access: 'public' | 'private'
  redirect: boolean
  convertToSchema1: boolean
  warning?: string
}

/** What the values of a Helm chart name as images, and which of them are in this archive. */
export type ChartImages = {
  repository: string
  chart: Digest
  images: { reference: string; isCarried: boolean }[]
}

/** `berth-export.json`: its members stand in this order. */
export type IndexDocument = {
  formatVersion: typeof formatVersion
  /** The installation that it comes from. */
  origin: string
  /** What lies under `blobs/`. */
  blobs: { count: number; bytes: number }
  /** Of `index.json`, so that a signature of this document holds for it too. */
  ociIndex: { digest: Digest; size: number }
  repositories: ExportedRepository[]
  distributions?: ExportedDistribution[]
  chartImages?: ChartImages[]
}

// What the API takes (openapi.yaml, Name and Warning): a warning becomes a header of every pull.
const distributionName = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,254}$/
const warning = /^(?! )[^\p{C}\p{Zl}\p{Zp}]+$/u
const isWarning = (text: string) => text.length <= 200 && warning.test(text)
const mostLabels = 64
const hash = /^[0-9a-f]{64}$/
const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** The bytes of an index document. Members stand in the order in which they were put in, as they do in what this module's types say. */
export function writeIndex(document: IndexDocument): Buffer {
  return Buffer.from(`${JSON.stringify(document)}\n`)
}

/** Reads and checks an index document. Throws `BadArchive` that names the place; `newer_format` for one that a newer Berth wrote. */
export function readIndex(bytes: Buffer): IndexDocument {
  if (bytes.length > indexLimitBytes) throw new BadArchive(indexName, `has more than ${indexLimitBytes} bytes`)
  const given = objectIn(parse(bytes), indexName)
  const version = countOf(given, 'formatVersion')
  if (version > formatVersion)
    throw new BadArchive(
      placeOf(given, 'formatVersion'),
      `is ${version}, and this Berth reads up to ${formatVersion}: update it, or export with an older one`,
      'newer_format',
    )
  if (version !== formatVersion) throw new BadArchive(placeOf(given, 'formatVersion'), 'is no format that there was')
  const blobs = objectOf(given, 'blobs')
  const ociIndex = objectOf(given, 'ociIndex')
  const repositories = listOf(given, 'repositories', mostRepositories, readRepository)
  const names = new Set<string>()
  for (const [at, { name, contents }] of repositories.entries()) {
    const place = `${indexName}.repositories[${at}]`
    if (names.has(name)) throw new BadArchive(place, 'has a name that was there before')
    names.add(name)
    if (contents.member !== listName(at + 1))
      throw new BadArchive(`${place}.contents.member`, `is not ${listName(at + 1)}`)
  }
  return {
    formatVersion,
    origin: wordOf(given, 'origin', 'uuid', isUuid),
    blobs: { count: countOf(blobs, 'count'), bytes: countOf(blobs, 'bytes') },
    ociIndex: { digest: digestOf(ociIndex, 'digest'), size: countOf(ociIndex, 'size') },
    repositories,
    ...(has(given, 'distributions')
      ? { distributions: listOf(given, 'distributions', 10 * mostRepositories, readDistribution) }
      : {}),
    ...(has(given, 'chartImages') ? { chartImages: listOf(given, 'chartImages', mostRepositories, readChart) } : {}),
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new BadArchive(indexName, 'is no JSON')
  }
}

function readRepository(given: Given): ExportedRepository {
  const contents = objectOf(given, 'contents')
  const version = objectOf(given, 'version')
  const counts = objectOf(version, 'counts')
  return {
    name: wordOf(given, 'name', 'name of a repository', isRepositoryName),
    id: wordOf(given, 'id', 'uuid', isUuid),
    description: textOf(given, 'description', 4096),
    labels: readLabels(objectOf(given, 'labels')),
    immutableTags: textsOf(given, 'immutableTags', 32, 128),
    version: {
      ...readFact(version),
      counts: {
        tags: countOf(counts, 'tags'),
        manifests: countOf(counts, 'manifests'),
        blobs: countOf(counts, 'blobs'),
        signatures: countOf(counts, 'signatures'),
      },
    },
    ...(has(given, 'since') ? { since: readSince(objectOf(given, 'since')) } : {}),
    facts: listOf(given, 'facts', 10_000, readFact),
    contents: {
      member: textOf(contents, 'member', 100),
      digest: digestOf(contents, 'digest'),
      size: countOf(contents, 'size'),
      lines: countOf(contents, 'lines'),
    },
  }
}

function readFact(given: Given): VersionFact {
  return {
    ...readSince(given),
    cause: textOf(given, 'cause', 64),
    createdAt: wordOf(given, 'createdAt', 'time such as 2026-11-02T09:30:00.000Z', (text) => isoTime.test(text)),
  }
}

function readSince(given: Given): { number: number; contentHash: string } {
  return {
    number: versionOf(given, 'number'),
    contentHash: wordOf(given, 'contentHash', 'content hash', (text) => hash.test(text)),
  }
}

function readLabels(given: Given): Record<string, string> {
  const keys = Object.keys(given.members)
  if (keys.length > mostLabels) throw new BadArchive(given.place, `has more than ${mostLabels} labels`)
  return Object.fromEntries(keys.map((key) => [key, textOf(given, key, 256)]))
}

function readDistribution(given: Given): ExportedDistribution {
  return {
    name: wordOf(given, 'name', 'name of a distribution', (text) => distributionName.test(text)),
    basePath: wordOf(given, 'basePath', 'base path', isRepositoryName),
    repository: wordOf(given, 'repository', 'name of a repository', isRepositoryName),
    ...(has(given, 'version') ? { version: versionOf(given, 'version') } : {}),
    access: wordOf(given, 'access', 'access, which is public or private', (text) =>
      ['public', 'private'].includes(text),
    ) as 'public' | 'private',
    redirect: flagOf(given, 'redirect'),
    convertToSchema1: flagOf(given, 'convertToSchema1'),
    ...(has(given, 'warning')
      ? { warning: wordOf(given, 'warning', 'warning on one line of up to 200 characters', isWarning) }
      : {}),
  }
}

function readChart(given: Given): ChartImages {
  return {
    repository: wordOf(given, 'repository', 'name of a repository', isRepositoryName),
    chart: digestOf(given, 'chart'),
    images: listOf(given, 'images', 10_000, (image) => ({
      reference: textOf(image, 'reference', 1000),
      isCarried: flagOf(image, 'isCarried'),
    })),
  }
}
