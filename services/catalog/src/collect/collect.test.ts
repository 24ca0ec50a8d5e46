import { randomUUID } from 'node:crypto'
import type { Digest } from '@berth/oci'
import { until } from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { keepBlob, leaseBlobs, renewLeases } from '../leases/leases.ts'
import { takeGenerations } from '../leases/place-blobs.ts'
import { deleteBlobLink, deleteReference } from '../pushes/delete-reference.ts'
import { linkBlob } from '../pushes/link-blob.ts'
import { findLink, pushBlob } from '../pushes/push-blob.ts'
import { streamRows } from '../served/rows.ts'
import { digestOf, idOf, newCall } from '../testing/catalog.fixture.ts'
import {
  drop,
  endLeases,
  push,
  pushImage,
  runCollector,
  startYard,
  stateOf,
  storedDigests,
  type Yard,
} from '../testing/collect.fixture.ts'
import { findCandidates } from './find-candidates.ts'
import { markBatch } from './mark.ts'

let yard: Yard
let made = 0
let here: string
beforeAll(async () => {
  yard = await startYard()
})
afterAll(() => yard?.stop())
beforeEach(() => {
  here = `team/app-${made++}`
})

const age = (seconds: number) =>
  yard.db.query('update blob set candidate_since = candidate_since - make_interval(secs => $1)', [seconds])
const signal = new AbortController().signal

/** An image of one layer, pushed and dropped again, with no lease left. */
async function garbage(text: string) {
  const layer = await push(yard, here, text)
  const image = await pushImage(yard, here, { name: text, blobs: [layer] }, [text])
  await pushImage(yard, here, { name: `other ${text}` }, ['stays'])
  await drop(yard, here, image)
  await endLeases(yard)
  return { layer, image }
}

test('a run whose starter loses the right to it takes nothing more away', async () => {
  const { layer } = await garbage('kept though unwanted')
  let asked = 0
  const mayRemove = async () => {
    if (++asked > 1) throw new Error('forbidden')
  }
  await expect(runCollector(yard, { mayRemove })).rejects.toThrow('forbidden')
  expect(await storedDigests(yard)).toContain(layer)
  await runCollector(yard)
  expect(await storedDigests(yard)).not.toContain(layer)
})

test('what nothing needs goes after the grace time, an image with all its parts at once', async () => {
  const { layer, image } = await garbage('goes')
  const day = 86_400
  // The link is as young as the push.
  await yard.db.query("update blob_link set linked_at = now() - interval '2 days'")
  expect(await runCollector(yard, { graceSeconds: day })).toMatchObject({ removed: 0 })
  await age(day - 60)
  expect(await runCollector(yard, { graceSeconds: day })).toMatchObject({ removed: 0 })
  await age(60)
  const sizeBytes = (
    await yard.blobs.stat({ digest: layer, generation: (await stateOf(yard, layer))?.generation ?? 0 })
  )?.sizeBytes
  const result = await runCollector(yard, { graceSeconds: day })
  expect(result.removed).toBeGreaterThanOrEqual(2)
  expect(result.removedBytes).toBeGreaterThan(sizeBytes ?? 0)
  for (const digest of [layer, image]) {
    expect(await stateOf(yard, digest)).toBeUndefined()
    expect(await storedDigests(yard)).not.toContain(digest)
  }
})

test('the grace time begins anew when something needs it in between', async () => {
  const { layer } = await garbage('again')
  await runCollector(yard, { graceSeconds: 1_000_000 })
  await age(2_000_000)
  await leaseBlobs(yard.db, { holder: 'sync:1', digests: [layer], ttlSeconds: 60 })
  await endLeases(yard)
  await runCollector(yard, { graceSeconds: 1_000_000 })
  expect(await stateOf(yard, layer)).toMatchObject({ state: 'present' })
})

test('G1, G2: a pushed blob whose manifest has yet to come stays while it is leased, at no grace at all', async () => {
  const layer = await push(yard, here, 'waits')
  await runCollector(yard)
  await pushImage(yard, here, { name: 'late', blobs: [layer] }, ['late'])
  await endLeases(yard)
  await runCollector(yard)
  expect(await stateOf(yard, layer)).toMatchObject({ state: 'present' })
})

/** A blob without link, lease or manifest, found to be a candidate. */
async function candidate(text: string): Promise<Digest> {
  const digest = digestOf(text)
  await leaseBlobs(yard.db, { holder: 'sync:0', digests: [digest], ttlSeconds: 60 })
  await endLeases(yard)
  await findCandidates(yard.db, signal)
  return digest
}

test('G1: what came into use after it was found is not marked', async () => {
  const layer = await candidate('found')
  await leaseBlobs(yard.db, { holder: 'sync:2', digests: [layer], ttlSeconds: 60 })
  // As if the candidate had been read before the lease.
  await yard.db.query("update blob set candidate_since = now() - interval '1 day' where digest = $1", [layer])
  expect(await markBatch(yard.db, 0, [layer])).toEqual([])
})

test('G1: whoever is about to lease it is not waited for, and keeps it', async () => {
  const layer = await candidate('held')
  await yard.db.transaction(async (sql) => {
    await sql.query("select from lease_blobs(array[$1], 'sync:3', 60)", [layer])
    expect(await markBatch(yard.db, 0, [layer])).toEqual([])
  })
  expect(await markBatch(yard.db, 0, [layer])).toEqual([])
})

test('G2: a lease that is renewed at the moment when it ends is kept', async () => {
  const layer = await candidate('renewed')
  await yard.db.query("insert into lease (digest, holder, expires_at) values ($1, 'sync:4', now())", [layer])
  let marking: Promise<unknown> = Promise.resolve()
  await yard.db.transaction(async (sql) => {
    await sql.query("update lease set expires_at = now() + interval '1 minute' where holder = 'sync:4'")
    marking = markBatch(yard.db, 0, [layer])
    await until(async () => {
      const waiting = await yard.db.query(
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      )
      return waiting.length > 0
    })
  })
  expect(await marking).toEqual([])
  await renewLeases(yard.db, 'sync:4', 60)
  expect(await stateOf(yard, layer)).toMatchObject({ state: 'writing' })
})

test('the mark is what the tests above would see, were nothing in its way', async () => {
  const layer = await candidate('free')
  expect(await markBatch(yard.db, 0, [layer])).toMatchObject([{ digest: layer }])
})

test('G2: who was told by HEAD that a blob is there may name it, even when its repository loses it meanwhile', async () => {
  const { image, layer } = await (async () => {
    const digest = await push(yard, here, 'base')
    return { layer: digest, image: await pushImage(yard, here, { name: 'first', blobs: [digest] }, ['first']) }
  })()
  await pushImage(yard, here, { name: 'second' }, ['second'])
  await endLeases(yard)
  const asked = { repository: here, holder: `push:${here}`, digest: layer, ttlSeconds: 60 }
  expect(await keepBlob(yard.db, asked)).toMatchObject({ digest: layer })
  await drop(yard, here, image)
  await deleteBlobLink(yard.db, { repository: here, actor: { id: null, name: 'ana' }, digest: layer }, newCall())
  await runCollector(yard)
  await pushImage(yard, here, { name: 'third', blobs: [layer] }, ['third'])
  // A lease alone, as anybody gets one who knows the digest, gives no right to name it.
  await leaseBlobs(yard.db, { holder: 'push:team/thief', digests: [layer], ttlSeconds: 60 })
  await expect(pushImage(yard, 'team/thief', { name: 'theft', blobs: [layer] }, ['x'])).rejects.toThrow('does not have')
  expect(await keepBlob(yard.db, { ...asked, repository: 'team/thief' })).toBeNull()
})

test('G3: what an index holds stays with it at any depth, and its referrers go only on their own', async () => {
  const layer = await push(yard, here, 'deep')
  const child = await pushImage(yard, here, { name: 'child', blobs: [layer] }, [])
  const inner = await pushImage(yard, here, { name: 'inner', children: [child] }, [])
  const outer = await pushImage(yard, here, { name: 'outer', children: [inner] }, ['outer'])
  const referrer = await pushImage(yard, here, { name: 'referrer', subject: outer }, [])
  await endLeases(yard)
  await runCollector(yard)
  for (const digest of [layer, child, inner, outer, referrer])
    expect(await stateOf(yard, digest)).toMatchObject({ state: 'present' })
  for (const digest of [outer, inner, child]) await drop(yard, here, digest)
  await runCollector(yard)
  for (const digest of [layer, child, inner, outer]) expect(await stateOf(yard, digest)).toBeUndefined()
  expect(await stateOf(yard, referrer)).toMatchObject({ state: 'present' })
})

test('G4, G6: killed between the mark and the removal, a push wins at once by the next generation', async () => {
  const { layer } = await garbage('comes back')
  const before = await stateOf(yard, layer)
  const killed = new Error('killed')
  await expect(
    runCollector(yard, {
      passing: async (place) => {
        if (place === 'marked' && (await stateOf(yard, layer))?.state === 'removing') throw killed
      },
    }),
  ).rejects.toBe(killed)
  expect(await stateOf(yard, layer)).toMatchObject({ state: 'removing' })
  expect(await keepBlob(yard.db, { repository: here, holder: 'x', digest: layer, ttlSeconds: 60 })).toBeNull()
  await push(yard, here, 'comes back')
  const after = await stateOf(yard, layer)
  expect(after?.state).toBe('present')
  expect(after?.generation).not.toBe(before?.generation)
  await yard.db.query("update blob set marked_at = now() - interval '2 minutes'")
  await runCollector(yard, { thorough: true, orphanSeconds: 0 })
  const key = { digest: layer, generation: after?.generation ?? 0 }
  expect(await yard.blobs.stat(key)).toBeDefined()
  // The object of the old generation, which no row knows any more, is found by listing.
  expect(await yard.blobs.stat({ ...key, generation: before?.generation ?? 0 })).toBeUndefined()
})

test('G6: a run that was killed before or after the removal is completed by the next one', async () => {
  for (const place of ['marked', 'removed']) {
    const { layer, image } = await garbage(`cut after ${place}`)
    const run = runCollector(yard, {
      passing: async (at) => {
        if (at === place) throw new Error('killed')
      },
    })
    await expect(run).rejects.toThrow('killed')
    await yard.db.query("update blob set marked_at = now() - interval '2 minutes'")
    await runCollector(yard)
    for (const digest of [layer, image]) {
      expect(await stateOf(yard, digest)).toBeUndefined()
      expect(await storedDigests(yard)).not.toContain(digest)
    }
  }
})

test('a generation never comes twice, not even when its row was deleted', async () => {
  const { layer } = await garbage('twice')
  const before = await stateOf(yard, layer)
  await runCollector(yard)
  await push(yard, here, 'twice')
  expect((await stateOf(yard, layer))?.generation).not.toBe(before?.generation)
})

test('G5: a layer that two repositories share stays while either has it', async () => {
  const other = `${here}-other`
  const layer = await push(yard, here, 'shared')
  await push(yard, other, 'shared')
  const mine = await pushImage(yard, here, { name: 'mine', blobs: [layer] }, ['a'])
  await pushImage(yard, here, { name: 'mine, later' }, ['b'])
  const theirs = await pushImage(yard, other, { name: 'theirs', blobs: [layer] }, ['a'])
  await pushImage(yard, other, { name: 'theirs, later' }, ['b'])
  await drop(yard, here, mine)
  await endLeases(yard)
  await runCollector(yard)
  expect(await stateOf(yard, layer)).toMatchObject({ state: 'present' })
  await drop(yard, other, theirs)
  await runCollector(yard)
  expect(await stateOf(yard, layer)).toBeUndefined()
})

test('G7: all references deleted at once and two collectors at once leave nothing, and count nothing twice', async () => {
  const layer = await push(yard, here, 'all')
  const images = []
  for (let i = 0; i < 6; i++) images.push(await pushImage(yard, here, { name: `all ${i}`, blobs: [layer] }, [`t${i}`]))
  await pushImage(yard, here, { name: 'the last' }, ['last'])
  await Promise.all(images.map((image) => drop(yard, here, image)))
  await endLeases(yard)
  const runs = await Promise.all([runCollector(yard), runCollector(yard), runCollector(yard)])
  await runCollector(yard)
  expect(runs.reduce((sum, run) => sum + run.notFound, 0)).toBe(0)
  for (const digest of [layer, ...images]) {
    expect(await stateOf(yard, digest)).toBeUndefined()
    expect(await storedDigests(yard)).not.toContain(digest)
  }
})

test('G8: bytes count when they were there and are gone; what was not there is counted apart', async () => {
  const lost = await garbage('lost already')
  const key = { digest: lost.layer, generation: (await stateOf(yard, lost.layer))?.generation ?? 0 }
  await yard.blobs.remove(key)
  expect(await runCollector(yard)).toMatchObject({ notFound: 1 })

  await garbage('stays on disk')
  const failures: unknown[] = []
  // An object store that acknowledges a delete and keeps the object.
  const result = await runCollector(yard, {
    blobs: { ...yard.blobs, remove: async () => true },
    onFailure: (error) => failures.push(error),
  })
  expect(result).toMatchObject({ removed: 0, removedBytes: 0, failed: 2 })
  expect(failures).toHaveLength(2)
})

test('G11: one that cannot be removed keeps nobody else from it, and goes when it can', async () => {
  const busy = await garbage('busy')
  const free = await garbage('free')
  const remove: typeof yard.blobs.remove = async (key) => {
    if (key.digest === busy.layer) throw new Error('the disk says no')
    return yard.blobs.remove(key)
  }
  const result = await runCollector(yard, { blobs: { ...yard.blobs, remove }, onFailure: () => undefined })
  expect(result.failed).toBe(1)
  expect(await stateOf(yard, free.layer)).toBeUndefined()
  expect(await stateOf(yard, busy.layer)).toMatchObject({ state: 'removing' })
  await yard.db.query("update blob set marked_at = now() - interval '2 minutes'")
  await runCollector(yard)
  expect(await stateOf(yard, busy.layer)).toBeUndefined()
})

test('G12: a manifest that no tag names stays, loose or in a version', async () => {
  const layer = await push(yard, here, 'untagged')
  const loose = await pushImage(yard, here, { name: 'loose', blobs: [layer] }, [])
  await endLeases(yard)
  await runCollector(yard)
  await pushImage(yard, here, { name: 'folds it' }, ['t'])
  await endLeases(yard)
  await runCollector(yard)
  for (const digest of [layer, loose]) expect(await stateOf(yard, digest)).toMatchObject({ state: 'present' })
})

test('what an old version holds stays until that version is deleted', async () => {
  const layer = await push(yard, here, 'old')
  const image = await pushImage(yard, here, { name: 'old', blobs: [layer] }, ['t'])
  await pushImage(yard, here, { name: 'new' }, ['t'])
  await deleteReference(yard.db, { repository: here, actor: { id: null, name: 'ana' }, digest: image }, newCall())
  await endLeases(yard)
  await runCollector(yard)
  expect(await stateOf(yard, layer)).toMatchObject({ state: 'present' })
})

test('a link that no manifest came for is taken away, and one of a member is not', async () => {
  const alone = await push(yard, here, 'alone')
  const member = await push(yard, here, 'member')
  await pushImage(yard, here, { name: 'has it', blobs: [member] }, ['t'])
  expect(await runCollector(yard)).toMatchObject({ unlinked: 0 })
  expect(await findLink(yard.db, { repository: here, digest: alone })).toMatchObject({ digest: alone })
  await endLeases(yard)
  expect((await runCollector(yard)).unlinked).toBeGreaterThanOrEqual(1)
  expect(await findLink(yard.db, { repository: here, digest: alone })).toBeNull()
  expect(await stateOf(yard, alone)).toBeUndefined()
  expect(await stateOf(yard, member)).toMatchObject({ state: 'present' })
})

test('what was leased and never written goes when its lease has ended, and counts as nothing', async () => {
  const digest = digestOf('never written')
  await leaseBlobs(yard.db, { holder: 'sync:5', digests: [digest], ttlSeconds: 60 })
  await runCollector(yard)
  expect(await stateOf(yard, digest)).toMatchObject({ state: 'writing' })
  await endLeases(yard)
  expect(await runCollector(yard)).toMatchObject({ notFound: 0, removed: 0 })
  expect(await stateOf(yard, digest)).toBeUndefined()
})

test('a writer whose lease was lost is refused, and its bytes are removed', async () => {
  const digest = digestOf('too slow')
  const [lease] = await leaseBlobs(yard.db, { holder: 'x', digests: [digest], ttlSeconds: 60 })
  const blob = { digest, generation: lease?.generation ?? 0, sizeBytes: 8 }
  await endLeases(yard)
  await runCollector(yard)
  const target = { repository: here, mayCreate: true, actor: { id: null, name: 'ana' }, holder: 'x', ttlSeconds: 60 }
  await expect(linkBlob(yard.db, { ...target, blob })).rejects.toMatchObject({ status: 503, code: 'stale_lease' })
})

test('a number that is used for a digest whose object of that number is being removed is refused, and another one is taken', async () => {
  const { layer } = await garbage('the same number')
  const before = await stateOf(yard, layer)
  const again = {
    repository: here,
    repositoryId: null,
    mayCreate: false,
    actor: { id: null, name: 'ana' },
    digest: layer,
    sizeBytes: 15,
    keepSeconds: 60,
  }
  await runCollector(yard, {
    passing: async (place) => {
      if (place !== 'marked' || (await stateOf(yard, layer))?.state !== 'removing') return
      const used = pushBlob(yard.db, { ...again, generation: before?.generation ?? 0 })
      await expect(used).rejects.toMatchObject({ status: 503, code: 'stale_lease' })
      const [generation = 0] = await takeGenerations(yard.db, 1)
      expect((await pushBlob(yard.db, { ...again, generation })).blob).toMatchObject({ generation })
    },
  })
  expect(await stateOf(yard, layer)).toMatchObject({ state: 'present' })
})

test('of two writers of one digest the first counts, and the second is told so', async () => {
  const digest = digestOf('two writers')
  const [first = 0, second = 0] = await takeGenerations(yard.db, 2)
  const one = {
    repository: here,
    repositoryId: null,
    mayCreate: true,
    actor: { id: null, name: 'ana' },
    digest,
    sizeBytes: 5,
    keepSeconds: 60,
  }
  // The higher number comes first: numbers say nothing of the order.
  expect((await pushBlob(yard.db, { ...one, generation: second })).blob).toMatchObject({ generation: second })
  expect((await pushBlob(yard.db, { ...one, generation: first })).blob).toMatchObject({ generation: second })
  expect(await stateOf(yard, digest)).toMatchObject({ generation: second })
})

test('objects that no row names are found by listing, once they are older than writers need them and than the grace time', async () => {
  await runCollector(yard, { thorough: true, orphanSeconds: 0 })
  const digest = digestOf('orphan')
  const kept = digestOf('from a later life of the database')
  const write = (key: { digest: typeof digest; generation: number }, text: string) =>
    yard.blobs.write(
      key,
      (async function* () {
        yield Buffer.from(text)
      })(),
    )
  await write({ digest, generation: 1 }, 'orphan')
  await write({ digest: kept, generation: 900_000_000 }, 'from a later life of the database')
  expect(await runCollector(yard, { thorough: true })).toMatchObject({ orphans: 0 })
  expect(await runCollector(yard, { thorough: true, orphanSeconds: 0, graceSeconds: 3_600 })).toMatchObject({
    orphans: 0,
  })
  expect(await runCollector(yard, { thorough: true, orphanSeconds: 0 })).toMatchObject({ orphans: 1, orphanBytes: 6 })
  const left = await storedDigests(yard)
  expect(left).not.toContain(digest)
  expect(left).toContain(kept)
})

test('traces are deleted, and a follower that has not heard of them hears everything anew', async () => {
  const { layer } = await garbage('traces')
  const repositoryId = await idOf(yard.db, here)
  const headAfter = async (revision: number) => (await Array.fromAsync(streamRows(yard.db, repositoryId, revision)))[0]
  expect(await headAfter(2)).toMatchObject({ from: 2 })
  await runCollector(yard, { thorough: true })
  const [left] = await yard.db.query<{ traces: number }>(
    'select count(*) as traces from blob_interval where digest = $1 or until <= since',
    [layer],
  )
  expect(left?.traces).toBe(0)
  const head = await headAfter(2)
  expect(head).toMatchObject({ from: 0 })
  const revision = head?.kind === 'head' ? head.revision : 0
  expect(await headAfter(revision)).toMatchObject({ from: revision })
})

test('deletions are told of for a week', async () => {
  const trace = async (days: number) => {
    const id = randomUUID()
    await yard.db.query(
      `with repository as (insert into deleted_repository (id, name, deleted_at) values ($1, 'gone', now() - make_interval(days => $2)))
       insert into deleted_distribution (id, base_path, revision, deleted_at) values ($1, 'gone', 1, now() - make_interval(days => $2))`,
      [id, days],
    )
    return id
  }
  const [, late] = [await trace(8), await trace(6)]
  await runCollector(yard, { thorough: true })
  for (const table of ['deleted_distribution', 'deleted_repository'])
    expect(await yard.db.query(`select id from ${table}`)).toEqual([{ id: late }])
})
