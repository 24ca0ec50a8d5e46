import { execFile } from 'node:child_process'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import type { Digest } from '@berth/oci'
import { describe, expect, test } from '@jest/globals'
import { digestOf, pack, packImages, sourceOf, tarOf } from './archive.fixture.ts'
import { type Archive, openFolder, openTar, verifyBlob } from './archive.ts'
import { BadArchive } from './bad-archive.ts'
import type { Contents } from './brought.ts'
import { joined } from './byte-source.ts'
import { readContents, requireNamed } from './contents.ts'
import { openFile } from './file-source.ts'
import { blobName, indexName, layoutName, ociIndexName } from './member-names.ts'
import { readTrustedKeys, trustOf } from './signature.ts'
import { memberHeader, paddingBytes, tarEnd } from './tar.ts'

const run = promisify(execFile)
const seed = Number(process.env.BERTH_TEST_SEED ?? 20_261_130)
const positions = 1_000 * Number(process.env.BERTH_TEST_RUNS ?? 1)

const { publicKey, privateKey } = generateKeyPairSync('ed25519')
const trusted: KeyObject[] = [publicKey]

/** All that is read before anything is stored, and then all bytes. */
async function readWhole(archive: Archive, keys: readonly KeyObject[] = []): Promise<Contents> {
  const contents = await readContents(archive)
  if (keys.length > 0 && trustOf(contents, keys) !== 'trusted') throw new BadArchive(indexName, 'is not signed')
  const seen = new Set<Digest>()
  for (const repository of contents.repositories)
    for await (const line of repository.lines()) {
      const digest = 'manifest' in line ? line.manifest : 'blob' in line ? line.blob : undefined
      if (digest && !('held' in line) && !('foreign' in line)) seen.add(digest)
    }
  requireNamed(contents.archive)
  for (const digest of seen) await verifyBlob(contents.archive, digest)
  return contents
}

const readTarWhole = async (bytes: Buffer, keys?: readonly KeyObject[]) =>
  readWhole(await openTar(sourceOf(bytes)), keys)

const named = (name: string, type = '0', link = '', content: Buffer = Buffer.alloc(0)): Buffer => {
  const header = memberHeader('placeholder', content.length)
  header.fill(0, 0, 100)
  header.write(name, 0, 'latin1')
  header.write(type, 156)
  header.write(link, 157)
  header.fill(0x20, 148, 156)
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  )
  return Buffer.concat([header, content, Buffer.alloc(paddingBytes(content.length))])
}

const members = () =>
  pack([packImages('team/app', { v1: [300, 5_000], v2: [700] }), packImages('team/db', { '1': [2_000] })])
const reasonOf = (reading: Promise<unknown>) =>
  reading.then(
    () => 'it was taken',
    (error: unknown) => {
      if (!(error instanceof BadArchive)) throw error
      return error.message
    },
  )

/** Random numbers that are the same each time (mulberry32). */
function numbers(start: number): () => number {
  let state = start
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

describe('an archive of Berth', () => {
  test('is read as a tar, in parts, and as a folder, with its signature', async () => {
    const whole = pack([packImages('team/app', { v1: [300, 5_000] })], { key: privateKey })
    const tar = tarOf(whole)
    const one = await readTarWhole(tar, trusted)
    expect(one.repositories.map(({ name }) => name)).toEqual(['team/app'])
    const cut = [tar.subarray(0, 1_000), tar.subarray(1_000, 4_000), tar.subarray(4_000)]
    const parts = joined(cut.map((bytes, at) => sourceOf(bytes, `export.tar.${at}`)))
    expect(parts.placeOf(1_003)).toBe('export.tar.1 at 3')
    await readWhole(await openTar(parts), trusted)
    const root = await mkdtemp(path.join(tmpdir(), 'berth-reading-'))
    try {
      for (const [name, bytes] of whole) {
        await mkdir(path.dirname(path.join(root, name)), { recursive: true })
        await writeFile(path.join(root, name), bytes)
      }
      await readWhole(await openFolder(root), trusted)
      // Packed again by another tool it is no more what Berth wrote byte for byte, and its content is the same.
      await run('tar', ['-cf', path.join(root, '..', `${path.basename(root)}.tar`), '-C', root, '.'])
      const again = await openFile(`${root}.tar`, 'again.tar')
      await readWhole(await openTar(again), trusted)
      await again.close()
      await symlink('/etc/hostname', path.join(root, 'blobs', 'link'))
      expect(await reasonOf(openFolder(root))).toBe('blobs/link is a link')
    } finally {
      await rm(root, { recursive: true, force: true })
      await rm(`${root}.tar`, { force: true })
    }
  })

  test(`is refused with the place wherever one byte of it was changed: ${positions} places of a signed one`, async () => {
    const tar = tarOf(pack([packImages('team/app', { v1: [300, 5_000], v2: [700] })], { key: privateKey }))
    await readTarWhole(tar, trusted)
    const random = numbers(seed)
    for (let count = 0; count < positions; count++) {
      const at = Math.floor(random() * tar.length)
      const before = tar[at] ?? 0
      tar[at] = before ^ (1 << Math.floor(random() * 8))
      const reason = await reasonOf(readTarWhole(tar, trusted))
      // It says where: a member, or a place in the file.
      if (
        !/export\.tar at \d+|^(oci-layout|index\.json|berth-export\.json|berth\/\d+\.ndjson)|\.ndjson:\d+ /.test(reason)
      )
        throw new Error(`byte ${at} of ${tar.length}, seed ${seed}: ${reason}`)
      tar[at] = before
    }
  }, 120_000)

  test('is refused where it breaks off, at every block of it', async () => {
    const tar = tarOf(members())
    for (let at = 0; at < tar.length; at += 512)
      expect(await reasonOf(readTarWhole(tar.subarray(0, at)))).toMatch(
        /^export\.tar at \d+ (breaks off|is where the tar breaks off)/,
      )
  })

  test('is refused with parts that are swapped or missing', async () => {
    const tar = tarOf(members())
    const [a, b, c] = [tar.subarray(0, 3_000), tar.subarray(3_000, 6_000), tar.subarray(6_000)]
    const from = (...parts: (Buffer | undefined)[]) =>
      reasonOf(
        openTar(joined(parts.map((part, at) => sourceOf(part ?? Buffer.alloc(0), `part.${at}`)))).then((archive) =>
          readWhole(archive),
        ),
      )
    expect(await from(a, c, b)).toMatch(/^part\.\d at \d+ /)
    expect(await from(b, a, c)).toMatch(/^part\.0 at 0 /)
    expect(await from(a, c)).toMatch(/^part\.\d at \d+ |blobs/)
    expect(await from(a, b)).toMatch(/^part\.1 at \d+ /)
  })
})

describe('refused with the reason', () => {
  const pax = (text: string) => named('pax', 'x', '', Buffer.from(text))
  const whole = (...parts: Buffer[]) => Buffer.concat([...parts, tarOf(members())])
  const changed = (change: (all: Map<string, Buffer>) => void) => {
    const all = new Map(members())
    change(all)
    return tarOf(all)
  }
  const document = (change: (index: Record<string, never>) => void) =>
    changed((all) => {
      const index = JSON.parse(String(all.get(indexName))) as Record<string, never>
      change(index)
      all.set(indexName, Buffer.from(`${JSON.stringify(index)}\n`))
    })
  const firstBlob = (all: Map<string, Buffer>) => [...all.keys()].find((name) => name.startsWith('blobs/')) ?? ''
  const gnuSize = (size: bigint) => {
    const header = named('oci-layout')
    header.fill(0, 124, 136)
    header[124] = 0x80
    header.writeBigUInt64BE(size, 128)
    header.fill(0x20, 148, 156)
    header.write(
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    )
    return Buffer.concat([header, tarEnd])
  }
  test.each<[what: string, tar: () => Buffer, reason: RegExp]>([
    ['nothing', () => Buffer.alloc(0), /^export\.tar at 0 is where the tar breaks off/],
    ['what is no tar', () => Buffer.alloc(4_096, 'x'), /^export\.tar at 0 is damaged: a header/],
    ['an empty tar', () => tarEnd, /has neither berth-export\.json nor index\.json nor manifest\.json/],
    [
      'traversal',
      () => whole(named('../../etc/cron.d/x')),
      /^export\.tar at 0 has "\.\.\/\.\.\/etc\/cron\.d\/x", which leads out/,
    ],
    ['traversal in the middle', () => whole(named('blobs/../../x')), /which leads out of the archive/],
    ['an absolute path', () => whole(named('/etc/passwd')), /an absolute path/],
    ['a link', () => whole(named('index', '2', '/etc/passwd')), /index, a link/],
    ['a hard link', () => whole(named('blobs/x', '1', 'index.json')), /blobs\/x, a link/],
    ['a device', () => whole(named('dev', '3')), /"dev", a device/],
    ['a pipe', () => whole(named('pipe', '6')), /"pipe", a named pipe/],
    ['a sparse file', () => whole(named('sparse', 'S')), /"sparse", a sparse file/],
    ['an unknown kind', () => whole(named('what', 'Z')), /of an unknown kind \("Z"\)/],
    ['a folder with content', () => whole(named('blobs', '5', '', Buffer.from('x'))), /a folder with content/],
    ['a name by pax that leads out', () => whole(pax('19 path=../../../x\n'), named('x')), /which leads out/],
    [
      'a pax record with a wrong length',
      () => whole(pax('99 path=x\n'), named('x')),
      /an extended header cannot be read/,
    ],
    ['a pax record without an end', () => whole(pax('9 path=xy'), named('x')), /an extended header cannot be read/],
    ['a pax record that is there twice', () => whole(pax('10 path=a\n10 path=b\n'), named('x')), /says "path" twice/],
    [
      'two pax headers',
      () => whole(pax('10 path=a\n'), pax('10 path=b\n'), named('x')),
      /two extended headers of one kind/,
    ],
    [
      'a pax header and a long name',
      () => whole(pax('10 path=a\n'), named('long', 'L', '', Buffer.from('b\0')), named('x')),
      /that say the same/,
    ],
    ['a pax size below zero', () => whole(pax('11 size=-5\n'), named('x')), /an impossible size/],
    ['a pax size beyond the archive', () => whole(pax('24 size=999999999999999\n'), named('x')), /breaks off in "x"/],
    ['a sparse file by pax', () => whole(pax('22 GNU.sparse.major=1\n'), named('x')), /sparse/],
    ['a pax header at the end', () => Buffer.concat([pax('10 path=a\n'), tarEnd]), /ends behind an extended header/],
    [
      'a global header that names',
      () => whole(named('pax', 'g', '', Buffer.from('10 path=a\n'))),
      /a global extended header/,
    ],
    [
      'a pax header of megabytes',
      () => whole(named('pax', 'x', '', Buffer.alloc(70_000))),
      /extended header of more than/,
    ],
    ['a size beyond all numbers', () => gnuSize(0xffffffffffffffffn), /an impossible size/],
    ['a size beyond the archive', () => gnuSize(1n << 40n), /breaks off in "oci-layout"/],
    [
      'a member that is there twice',
      () => tarOf([...members().slice(0, 2), ...members().slice(1)]),
      /has "berth-export\.json" for the second time/,
    ],
    [
      'a blob that is there twice',
      () => tarOf([...members(), members().at(-1) ?? ['', Buffer.alloc(0)]]),
      /(is there twice|not in the order|json\.blobs says|is missing)/,
    ],
    [
      'a blob that is missing',
      () => changed((all) => void all.delete(firstBlob(all))),
      /^berth-export\.json\.blobs says \d+ of \d+ bytes, and there are/,
    ],
    [
      'a blob that nothing names',
      () => changed((all) => void all.set(blobName(digestOf('x')), Buffer.from('x'))),
      /^(blobs are not in the order|berth-export\.json\.blobs says)/,
    ],
    [
      'a blob with other bytes',
      () => changed((all) => void all.set(firstBlob(all), Buffer.alloc(all.get(firstBlob(all))?.length ?? 0))),
      /^blobs\/sha256\/[0-9a-f]+ \(export\.tar at \d+\) is damaged: its bytes/,
    ],
    [
      'a list with other bytes',
      () =>
        changed(
          (all) =>
            void all.set('berth/1.ndjson', Buffer.from(String(all.get('berth/1.ndjson')).replace('"v1"', '"v3"'))),
        ),
      /^berth\/1\.ndjson.* (is not behind|is damaged: its bytes)/,
    ],
    [
      'a list that is missing',
      () => changed((all) => void all.delete('berth/2.ndjson')),
      /^berth\/2\.ndjson is missing/,
    ],
    [
      'a list that is not named',
      () => changed((all) => void all.set('berth/9.ndjson', Buffer.from('x'))),
      /^index\.json stands where berth\/3\.ndjson is to be/,
    ],
    ['an index that is missing', () => changed((all) => void all.delete(ociIndexName)), /index\.json is missing/],
    [
      'what is held where there is no base',
      () => {
        const app = packImages('team/app', { v1: [300] })
        return tarOf(pack([{ ...app, held: new Set(app.blobs.keys()) }]))
      },
      /^berth\/1\.ndjson:2\.held stands in what is no delta/,
    ],
    [
      'another layout',
      () => changed((all) => void all.set(layoutName, Buffer.from('{"imageLayoutVersion":"9.0.0"}'))),
      /^oci-layout is damaged/,
    ],
    [
      'what Berth does not write',
      () => changed((all) => void all.set('extra', Buffer.from('x'))),
      /^extra stands where nothing is to be/,
    ],
    [
      'bytes behind the end',
      () => Buffer.concat([tarOf(members()), Buffer.from('more')]),
      /is behind the end of the archive/,
    ],
    [
      'a newer format',
      () => document((index) => Object.assign(index, { formatVersion: 2 })),
      /formatVersion is 2, and this Berth reads up to 1/,
    ],
    [
      'a document that is too large',
      () => changed((all) => void all.set(indexName, Buffer.alloc((32 << 20) + 1, ' '))),
      /has more than 33554432 bytes/,
    ],
    [
      'a document that is no JSON',
      () => changed((all) => void all.set(indexName, Buffer.from('{'))),
      /berth-export\.json is no JSON/,
    ],
  ])('%s', async (_what, tar, reason) => {
    expect(await reasonOf(readTarWhole(tar()))).toMatch(reason)
  })
})

describe('an archive of docker save', () => {
  const layer = Buffer.alloc(1_024)
  const config = (diffIds: string[]) =>
    Buffer.from(JSON.stringify({ os: 'linux', rootfs: { type: 'layers', diff_ids: diffIds } }))
  const saved = (layers: string[], link: string, diffIds = layers.map(() => String(digestOf(layer)))) => {
    const members: [string, Buffer][] = [
      [
        'manifest.json',
        Buffer.from(JSON.stringify([{ Config: 'c.json', RepoTags: ['host:5000/team/app:1'], Layers: layers }])),
      ],
      ['c.json', config(diffIds)],
      ['a/layer.tar', layer],
    ]
    const files = members.map(([name, bytes]) => [
      memberHeader(name, bytes.length),
      bytes,
      Buffer.alloc(paddingBytes(bytes.length)),
    ])
    return Buffer.concat([...files.flat(), named('b/layer.tar', '2', link), tarEnd])
  }

  test('has its layers as they lie, also where one stands for another by a link', async () => {
    const contents = await readTarWhole(saved(['a/layer.tar', 'b/layer.tar'], '../a/layer.tar'))
    const lines = []
    for await (const line of contents.repositories[0]?.lines() ?? []) lines.push(line)
    expect(contents.repositories.map(({ name }) => name)).toEqual(['team/app'])
    expect(contents.notes).toEqual([expect.stringContaining('other digests')])
    expect(lines).toContainEqual({ blob: digestOf(layer), size: 1_024 })
    expect(lines).toContainEqual({ tag: '1', digest: expect.stringMatching(/^sha256:/) })
  })

  test.each([
    ['a link that leads out', saved(['b/layer.tar'], '../../etc/passwd'), /a link that leads out of the archive/],
    ['a link that is absolute', saved(['b/layer.tar'], '/etc/passwd'), /(not in the archive|leads out of the archive)/],
    ['a link to itself', saved(['b/layer.tar'], 'layer.tar'), /a link that leads out of the archive/],
    [
      'a layer that is not there',
      saved(['x/layer.tar'], '../a/layer.tar'),
      /"x\/layer.tar", which is not in the archive/,
    ],
    [
      'layers that its configuration does not know',
      saved(['a/layer.tar'], 'x', []),
      /has 1 layers, and its configuration says 0/,
    ],
    [
      'a layer with other bytes',
      saved(['a/layer.tar'], 'x', [digestOf('other')]),
      /a\/layer.tar is damaged: its bytes/,
    ],
  ])('with %s is refused', async (_what, tar, reason) => {
    expect(await reasonOf(readTarWhole(tar))).toMatch(reason)
  })
})

test('a signature counts by the keys that are trusted, and by nothing else', async () => {
  const other = generateKeyPairSync('ed25519').publicKey
  const signed = await readTarWhole(tarOf(pack([packImages('a', { v: [10] })], { key: privateKey })))
  const plain = await readTarWhole(tarOf(members()))
  expect([trustOf(signed, [other, publicKey]), trustOf(signed, [other]), trustOf(plain, [publicKey])]).toEqual([
    'trusted',
    'unknown_key',
    'unsigned',
  ])
  const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString()
  expect(readTrustedKeys(pem(publicKey) + pem(other))).toHaveLength(2)
  expect(readTrustedKeys(pem(generateKeyPairSync('rsa', { modulusLength: 2_048 }).publicKey))).toBeUndefined()
  expect(readTrustedKeys(`${pem(publicKey)}ssh-ed25519 AAAA`)).toBeUndefined()
})
