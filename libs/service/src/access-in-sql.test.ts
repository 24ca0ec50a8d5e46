import { builtInRoles, decide, type Grant, type Kind, type Rights, toSql, type Verb } from '@berth/access'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import pg from 'pg'
import { makeDatabase, type TestDatabase } from './testing/index.ts'

let database: TestDatabase
let client: pg.Client
beforeAll(async () => {
  database = await makeDatabase()
  client = new pg.Client({ connectionString: database.url })
  await client.connect()
  await client.query('create table object (id uuid, name text collate "C", owner_id uuid, is_public boolean)')
}, 60_000)
afterAll(async () => {
  await client?.end()
  await database?.drop()
})

const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
const names = ['a', 'a/b', 'a/b/c', 'a-b/c', 'a0/b', 'aa/b', 'b', 'b/a', 'b/aa', 'z/~x', 'z/é']
const accounts = [uuid(1), uuid(2)]
const kindOf = fc.constantFrom<Kind>('repository', 'remote', 'namespace')
const grantOf = fc
  .tuple(
    fc.constantFrom(...Object.values(builtInRoles)),
    fc.oneof(
      fc.constantFrom({ prefix: 'a/' }, { prefix: 'a/b/' }, { prefix: 'z/' }, { namespace: 'a' }, { namespace: 'b' }),
      fc.record({ kind: kindOf, objectId: fc.integer({ min: 100, max: 110 }).map(uuid) }),
      fc.constant({ all: true } as const),
    ),
  )
  .map(([verbs, on]): Grant => ({ id: 'g', verbs, ...on }))
const objectOf = fc.record({
  name: fc.constantFrom(...names),
  id: fc.integer({ min: 100, max: 110 }).map(uuid),
  ownerId: fc.option(fc.constantFrom(...accounts)),
  isPublic: fc.boolean(),
})

test('a list has exactly what the decision allows, whatever the rights and the objects', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(grantOf, { maxLength: 4 }),
      fc.option(fc.constantFrom(...accounts)),
      fc.array(objectOf, { maxLength: 12 }),
      fc.constantFrom<Verb>('read', 'pull', 'push', 'publish', 'administer'),
      kindOf,
      async (grants, accountId, objects, verb, kind) => {
        const rights: Rights = { accountId, grants }
        await client.query('truncate object')
        for (const { id, name, ownerId, isPublic } of objects)
          await client.query('insert into object values ($1, $2, $3, $4)', [id, name, ownerId, isPublic])
        const columns = { name: 'name', id: 'id', owner: 'owner_id', isPublic: 'is_public' }
        const { condition, values } = toSql(rights, verb, kind, columns, 2)
        const { rows } = await client.query(
          `select id, name from object where $1::boolean and ${condition} order by name, id, is_public, owner_id`,
          [true, ...values],
        )
        const allowed = objects.filter((object) => decide(rights, verb, { kind, ...object }).allowed)
        expect(rows.map(({ id, name }) => `${name} ${id}`).sort()).toEqual(
          allowed.map(({ id, name }) => `${name} ${id}`).sort(),
        )
      },
    ),
    { numRuns: 150 },
  )
}, 60_000)

test('a prefix is a range that an index by name answers, and one that lies in another costs nothing', () => {
  const reader = { id: 'g', verbs: ['read'] as const }
  const rights: Rights = {
    accountId: null,
    grants: [
      { ...reader, prefix: 'a/' },
      { ...reader, prefix: 'a/b/' },
    ],
  }
  expect(toSql(rights, 'read', 'repository', { name: 'name', id: 'id' }, 3)).toEqual({
    condition: '((name >= $3::text and name < $4::text))',
    values: ['a/', 'a0'],
  })
  expect(toSql(rights, 'push', 'repository', { name: 'name', id: 'id' }, 3)).toEqual({ condition: 'false', values: [] })
})
