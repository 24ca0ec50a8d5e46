import { randomUUID } from 'node:crypto'
import { adminRights, builtInRoles, type Grant, noRights, type Verb } from '@berth/access'
import { applyMigrations, type Database, openDatabase, type Principal } from '@berth/service'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { schemaParts } from '../db/schema-parts.ts'
import { csvHead, csvLine } from './csv.ts'
import type { Entry } from './entry.ts'
import { type AuditFilter, keyOf, listEntries } from './list.ts'
import { storeRows } from './store.ts'

let database: TestDatabase
let db: Database
const [ann, ben] = [randomUUID(), randomUUID()]
const objectId = randomUUID()

beforeAll(async () => {
  database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'tasks', parts: schemaParts })
  db = openDatabase({ url: database.url, schema: 'tasks' })
  const made: [string, string | null, string, string | null][] = [
    ['a1', ann, 'team/app', 'team'],
    ['b1', ben, 'team/app', 'team'],
    ['b2', ben, 'teams/app', 'teams'],
    ['b3', ben, 'x', null],
    ['n1', null, 'team', 'team'],
  ]
  await storeRows(
    db,
    'catalog',
    made.map(([requestId, actorId, name, namespace], n) => ({
      number: n + 1,
      at: `2026-11-29T12:00:0${n >> 1}.000Z`,
      entry: {
        action: requestId === 'a1' ? 'deleteTag' : 'setTag',
        actor: { id: actorId, name: actorId === ann ? 'ann' : actorId === ben ? 'ben' : 'nobody' },
        object: { kind: 'repository', id: name === 'x' ? objectId : null, name },
        detail: null,
        address: null,
        requestId,
        namespace,
        result: requestId === 'b2' ? 'denied' : 'done',
        count: 1,
      },
    })),
    { keptDays: 36_500 },
  )
})
afterAll(async () => {
  await db?.close()
  await database?.drop()
})

type On = { all: true } | { prefix: string } | { namespace: string }
function caller(id: string, verbs: readonly Verb[] = [], ...on: On[]): Principal {
  const grants: Grant[] = on.map((one) => ({ id: randomUUID(), verbs, ...one }))
  return { id, name: 'x', admin: false, rights: { ...noRights(id), grants } }
}
const admin: Principal = { id: randomUUID(), name: 'admin', admin: true, rights: adminRights(randomUUID()) }
async function list(who: Principal, filter: AuditFilter = {}, limit = 100, after?: string): Promise<Entry[]> {
  return listEntries(db, who, filter, { after, limit })
}
const idsOf = (entries: readonly Entry[]) => entries.map(({ requestId }) => requestId)

test.each<[string, Principal, string[]]>([
  ['administrators', admin, ['n1', 'b3', 'b2', 'b1', 'a1']],
  [
    'who was granted audit.read on everything',
    caller(randomUUID(), ['audit.read'], { all: true }),
    ['n1', 'b3', 'b2', 'b1', 'a1'],
  ],
  ['somebody with no right, of its own acts', caller(ann), ['a1']],
  ['somebody who did nothing', caller(randomUUID()), []],
  ['owners of a namespace', caller(randomUUID(), builtInRoles.owner, { namespace: 'team' }), ['n1', 'b1', 'a1']],
  [
    'owners, with their own acts elsewhere',
    caller(ben, builtInRoles.owner, { namespace: 'team' }),
    ['n1', 'b3', 'b2', 'b1', 'a1'],
  ],
  ['maintainers of a namespace', caller(ann, builtInRoles.maintainer, { namespace: 'team' }), ['a1']],
  ['owners of names in a namespace only', caller(ann, builtInRoles.owner, { prefix: 'team/' }), ['a1']],
])('%s see what is theirs to see, newest first', async (_who, principal, wanted) => {
  expect(idsOf(await list(principal))).toEqual(wanted)
})

test.each<[AuditFilter, string[]]>([
  [{ actor: 'ben' }, ['b3', 'b2', 'b1']],
  [{ actor: ann.toUpperCase() }, ['a1']],
  [{ action: 'deleteTag' }, ['a1']],
  [{ object: 'team/app' }, ['b1', 'a1']],
  [{ object: objectId }, ['b3']],
  [{ namespace: 'team' }, ['n1', 'b1', 'a1']],
  [{ result: 'denied' }, ['b2']],
  [{ since: '2026-11-29T12:00:01.000Z' }, ['n1', 'b3', 'b2']],
  [{ until: '2026-11-29T12:00:01.000Z' }, ['b1', 'a1']],
  [{ actor: 'ben', namespace: 'team' }, ['b1']],
])('%j narrows the list', async (filter, wanted) => {
  expect(idsOf(await list(admin, filter))).toEqual(wanted)
})

test('pages follow each other without a gap, also among entries of one moment', async () => {
  const found: string[] = []
  for (let after: string | undefined; ; ) {
    const rows = await list(admin, {}, 1, after)
    const [first] = rows
    if (first) found.push(first.requestId)
    if (rows.length < 2 || !first) break
    after = keyOf(first)
  }
  expect(found).toEqual(['n1', 'b3', 'b2', 'b1', 'a1'])
  for (const bad of ['x', '2026-02-30T00:00:00.000Z catalog 1', '2026-11-29T12:00:00.000Z catalog 1;'])
    await expect(list(admin, {}, 1, bad)).rejects.toMatchObject({ status: 400 })
})

test.each([
  ['a comma, "quotes"\nand a line', '"a comma, ""quotes""\nand a line"'],
  ['=HYPERLINK("http://a")', '"\'=HYPERLINK(""http://a"")"'],
  ['+1', '"\'+1"'],
  ['-1', '"\'-1"'],
  ['@SUM(A1)', '"\'@SUM(A1)"'],
  ['\t=1', '"\'\t=1"'],
  ['\r=1', '"\'\r=1"'],
  ['plain', '"plain"'],
])('in CSV %j is %s, and no formula', (name, wanted) => {
  const entry: Entry = {
    at: new Date(0),
    service: 'auth',
    number: 7,
    requestId: 'r',
    action: 'login',
    actorId: null,
    actor: name,
    objectKind: 'account',
    objectId: null,
    object: null,
    detail: null,
    namespace: null,
    result: 'login_failed',
    count: 3,
    address: null,
  }
  expect(csvLine(entry)).toBe(
    `"1970-01-01T00:00:00.000Z",${wanted},,"login","account",,,,,"login_failed",3,,"r","auth",7\r\n`,
  )
  expect(csvHead.split(',')).toHaveLength(15)
})
