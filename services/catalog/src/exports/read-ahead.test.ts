import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { digestOf, tarOf } from '../archives/archive.fixture.ts'
import { blobName } from '../archives/member-names.ts'
import { startYard, type Yard } from '../testing/collect.fixture.ts'
import type { Member } from './members.ts'
import { placeMembers } from './members.ts'
import type { Damage } from './read-archive.ts'
import { writeExport } from './write-export.ts'

let yard: Yard
beforeAll(async () => {
  yard = await startYard()
}, 60_000)
afterAll(() => yard?.stop())

async function* once(bytes: Buffer): AsyncIterable<Uint8Array> {
  yield bytes
}

/** An export of blobs of these bytes, of which one may not be in the store. */
async function makeExport(all: readonly Buffer[], missing?: Buffer) {
  const id = randomUUID()
  await yard.db.query(
    `insert into export (id, task_id, target, with_distributions, is_signed, created_by) values ($1, $1, 'download', false, false, 'ana')`,
    [id],
  )
  const members = all.map((bytes): Pick<Member, 'name' | 'digest' | 'generation' | 'sizeBytes'> => {
    const digest = digestOf(bytes)
    return { name: blobName(digest), digest, generation: 1, sizeBytes: bytes.length }
  })
  for (const bytes of all)
    if (bytes !== missing) await yard.blobs.write({ digest: digestOf(bytes), generation: 1 }, once(bytes))
  await yard.db.query(
    `insert into export_member (export_id, name, digest, generation, size_bytes)
     select $1, name, digest, 1, size_bytes
     from unnest($2::text[], $3::text[], $4::bigint[]) as member (name, digest, size_bytes)`,
    [
      id,
      members.map(({ name }) => name),
      members.map(({ digest }) => digest),
      members.map(({ sizeBytes }) => sizeBytes),
    ],
  )
  return { id, archiveBytes: await placeMembers(yard.db, id, []) }
}

const signal = new AbortController().signal
const write = ({ id, archiveBytes }: { id: string; archiveBytes: number }, damage: Damage[] = []) =>
  writeExport({ sql: yard.db, blobs: yard.blobs }, { id, path: null, chunkBytes: null }, archiveBytes, undefined, {
    signal,
    damage,
    onBytes: () => {},
  })

test('small blobs that are read ahead stand where they belong, between large ones', async () => {
  const blobs = [
    ...Array.from({ length: 60 }, (_none, at) => randomBytes(100 + (at % 4_000))),
    ...Array.from({ length: 5 }, () => randomBytes(200_000)),
    Buffer.alloc(0),
    randomBytes(64 << 10),
  ]
  const made = await makeExport(blobs)
  const { archiveDigest } = await write(made)
  const members = blobs
    .map((bytes): [string, Buffer] => [blobName(digestOf(bytes)), bytes])
    .sort(([a], [b]) => (a < b ? -1 : 1))
  expect(archiveDigest).toBe(`sha256:${createHash('sha256').update(tarOf(members)).digest('hex')}`)
}, 300_000)

test('one of them that is missing is named', async () => {
  const blobs = Array.from({ length: 40 }, () => randomBytes(300))
  const [missing = Buffer.alloc(0)] = blobs
  const damage: Damage[] = []
  await expect(write(await makeExport(blobs, missing), damage)).rejects.toMatchObject({ code: 'content_damaged' })
  expect(damage).toEqual([{ digest: digestOf(missing), generation: 1, found: 'missing' }])
})
