import { expect } from '@jest/globals'
import { curate } from '../curation/curate.ts'
import { removeManifests, removeTags } from '../intervals/edit.ts'
import { rollBack } from '../versions/rollback.ts'
import { unwrittenRepositories } from '../versions/rollback-writer.ts'
import { type Content, contentOf, idOf } from './catalog.fixture.ts'
import { endLeases, push, pushImage, type Yard } from './collect.fixture.ts'

const actor = { id: null, name: 'ana' }
let made = 0

/** Version 1 has one image, version 2 nothing and version 3 another image; version 4 is version 1 again, not written out yet. */
export async function rolledBack(yard: Yard) {
  const { db } = yard
  const name = `settle/${made++}`
  const image = async (label: string, tags: string[]) => {
    const blob = await push(yard, name, `${name} blob ${label}`)
    return { blob, digest: await pushImage(yard, name, { name: `${name} ${label}`, blobs: [blob] }, tags) }
  }
  const old = await image('old', ['a', 'b'])
  const id = await idOf(db, name)
  await curate(db, { repositoryId: id, actor, cause: 'remove' }, async (sql, edit) => {
    await removeTags(sql, edit, ['a', 'b'])
    await removeManifests(sql, edit, [old.digest])
  })
  const recent = await image('recent', ['b', 'c'])
  await db.query('update blob_link set linked = false where repository_id = $1', [id])
  await endLeases(yard)
  const wanted = await contentOf(db, name, 1)
  const last = await contentOf(db, name, 3)
  const version = await rollBack(db, { repositoryId: id, version: 1, actor }, 0)
  expect(version).toMatchObject({ number: 4, created: true, isWrittenOut: false })
  expect(await unwrittenRepositories(db)).toContain(id)
  return { name, id, old, recent, wanted, last }
}

/** Expects a repository to be written out, with this content. */
export async function expectWrittenOut(yard: Yard, id: string, name: string, wanted: Content) {
  expect(await unwrittenRepositories(yard.db)).not.toContain(id)
  const [held] = await yard.db.query<{ tags: object }>(
    `select coalesce(jsonb_object_agg(name, digest), '{}') as tags from tag_interval where repository_id = $1 and until is null`,
    [id],
  )
  expect(held?.tags).toEqual(wanted.tags)
  expect(await contentOf(yard.db, name)).toEqual(wanted)
}
