import { execFile } from 'node:child_process'
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { asDigest } from '@berth/oci'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { type IndexDocument, readIndex, writeIndex } from './document.ts'
import { createLineReader, type ListLine, writeLine } from './list-lines.ts'
import { blobName, digestOfBlob } from './member-names.ts'
import { headerBytes, memberHeader, paddingBytes, tarEnd } from './tar.ts'

const run = promisify(execFile)
const digest = asDigest(`sha256:${'ab'.repeat(32)}`)
const long = asDigest(`sha512:${'c'.repeat(128)}`)
const hash = '0'.repeat(64)
const id = '7d0f2a7e-3f7b-4b57-9f0e-7d2a6f3c1b55'
const fact = { number: 3, contentHash: hash, cause: 'push', createdAt: '2026-11-02T09:30:00.000Z' }

const document: IndexDocument = {
  formatVersion: 1,
  origin: id,
  blobs: { count: 2, bytes: 10 },
  ociIndex: { digest, size: 30 },
  repositories: [
    {
      name: 'team/app',
      id,
      description: '',
      labels: { tier: 'gold' },
      immutableTags: ['v*'],
      version: { ...fact, counts: { tags: 1, manifests: 1, blobs: 1, signatures: 0 } },
      since: { number: 1, contentHash: hash },
      facts: [],
      contents: { member: 'berth/1.ndjson', digest, size: 1, lines: 1 },
    },
  ],
  distributions: [
    {
      name: 'app',
      basePath: 'app',
      repository: 'team/app',
      access: 'public',
      redirect: false,
      convertToSchema1: false,
    },
  ],
  chartImages: [{ repository: 'team/app', chart: digest, images: [{ reference: 'nginx:1', isCarried: false }] }],
}

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'berth-archive-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('the members of an archive are read by tar, whatever their size and name, and say nothing of who wrote them', async () => {
  const large = 9 * 2 ** 30
  const file = path.join(folder, 'a.tar')
  const small = [blobName(digest), blobName(long)].flatMap((name) => [
    memberHeader(name, 3),
    Buffer.from('abc'),
    Buffer.alloc(paddingBytes(3)),
  ])
  const head = Buffer.concat([...small, memberHeader('large', large)])
  await writeFile(file, head)
  // A hole is as good as bytes, and takes no room.
  await truncate(file, head.length + large)
  await writeFile(file, tarEnd, { flag: 'a' })
  const { stdout } = await run('tar', ['--utc', '--full-time', '-tvf', file])
  const lines = stdout.trimEnd().split('\n')
  expect(lines.map((line) => line.split(/ +/))).toEqual([
    ['-rw-r--r--', '0/0', '3', '1970-01-01', '00:00:00', blobName(digest)],
    ['-rw-r--r--', '0/0', '3', '1970-01-01', '00:00:00', blobName(long)],
    ['-rw-r--r--', '0/0', String(large), '1970-01-01', '00:00:00', 'large'],
  ])
  for (const [name, size] of [
    [blobName(digest), 3],
    [blobName(long), 3],
    ['large', large],
  ] as const)
    expect(headerBytes(name, size)).toBe(memberHeader(name, size).length)
  expect(digestOfBlob(blobName(long))).toBe(long)
  expect(digestOfBlob(`blobs/sha512/${'a'.repeat(64)}`)).toBeUndefined()
})

test('an index document is read as it was written', () => {
  expect(readIndex(writeIndex(document))).toEqual(document)
})

const { origin: _, ...withoutOrigin } = document
const [repository] = document.repositories as [IndexDocument['repositories'][number]]

test.each<[unknown, string]>([
  [{ ...document, formatVersion: 2 }, 'berth-export.json.formatVersion is 2, and this Berth reads up to 1'],
  [{ ...document, formatVersion: 0 }, 'berth-export.json.formatVersion is no format that there was'],
  [withoutOrigin, 'berth-export.json lacks origin'],
  [{ ...document, blobs: { count: -1, bytes: 0 } }, 'berth-export.json.blobs.count is no whole number from 0 on'],
  [
    { ...document, repositories: [repository, repository] },
    'berth-export.json.repositories[1] has a name that was there before',
  ],
  [
    { ...document, repositories: [{ ...repository, name: '../x' }] },
    'berth-export.json.repositories[0].name is no name of a repository',
  ],
  [[], 'berth-export.json is no object'],
])('an index document with a fault is refused with its place (%#)', (faulty, reason) => {
  expect(() => readIndex(Buffer.from(JSON.stringify(faulty)))).toThrow(reason)
})

const lines: ListLine[] = [
  {
    manifest: digest,
    size: 4,
    mediaType: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
    envelope: digest,
    held: true,
  },
  { manifest: long, size: 4 },
  { blob: digest, size: 4, foreign: true },
  { tag: 'Latest', digest },
  { tag: 'latest', digest },
  { signature: `${digest}@${'0'.repeat(32)}`, digest, content: 'AAAA' },
]

test('the lines of a list are read as they were written, and refused in another order', () => {
  const read = createLineReader('berth/1.ndjson')
  expect(lines.map((line) => read(writeLine(line)))).toEqual(lines)
  const again = createLineReader('berth/1.ndjson')
  again(writeLine(lines[2] as ListLine))
  expect(() => again(writeLine(lines[1] as ListLine))).toThrow('berth/1.ndjson:2 is not behind the line before it')
  expect(() => createLineReader('berth/1.ndjson')('{"x":1}')).toThrow('berth/1.ndjson:1 is none of manifest, blob')
})
