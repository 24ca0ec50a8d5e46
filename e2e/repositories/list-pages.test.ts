import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Client } from 'pg'
import { localRemote, make, startSync } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

let database: Client
afterAll(() => database?.end())
const stack = withBerth({ own: true })

beforeAll(async () => {
  database = new Client({ connectionString: stack.databaseUrl })
  await database.connect()
  await make(stack, '/namespaces', { name: 'pages' })
  await make(stack, '/repositories', { name: 'pages/first' })
  await make(stack, '/distributions', { name: 'first', basePath: 'pages/first', repository: 'pages/first' })
  await make(stack, '/remotes', localRemote('first', 'http://127.0.0.1:1', 'some/thing', { retries: 0 }))
  const { id } = await startSync(stack, 'pages/first', 'first')
  await stack.waitForTask(id)
}, 90_000)

const copies = 60
const largeBytes = 200_000

/** Copies the one row of a table many times, each under names of its own and with one large value. */
async function multiply(table: string, names: string[], large: string): Promise<void> {
  const [schema, name] = table.split('.')
  const { rows } = await database.query<{ column_name: string }>(
    `select column_name from information_schema.columns
     where table_schema = $1 and table_name = $2 and is_generated = 'NEVER' and is_identity = 'NO' and identity_generation is null`,
    [schema, name],
  )
  const columns = rows.map((row) => `"${row.column_name}"`).join(', ')
  const changes = names.map((column) =>
    column.endsWith('id') ? `'${column}', md5(n || '${column}')::uuid` : `'${column}', 'pages-' || n`,
  )
  await database.query(
    `insert into ${table} (${columns})
     select ${rows.map((row) => `made."${row.column_name}"`).join(', ')}
     from (select to_jsonb(one) as one from ${table} as one limit 1) as first, generate_series(1, ${copies}) as n,
       jsonb_populate_record(null::${table}, one || jsonb_build_object(${changes.join(', ')}) || ${large}) as made`,
  )
}

const text = `repeat('x', ${largeBytes})`
test.each([
  [
    '/repositories',
    'catalog.repository',
    ['id', 'name'],
    `jsonb_build_object('labels', jsonb_build_object('l', ${text}))`,
  ],
  [
    '/namespaces',
    'catalog.namespace',
    ['id', 'name'],
    `jsonb_build_object('labels', jsonb_build_object('l', ${text}))`,
  ],
  [
    '/distributions',
    'catalog.distribution',
    ['id', 'name', 'base_path'],
    `jsonb_build_object('repository_id', null, 'pull_through', jsonb_build_object('remote', 'r', 'remoteId', one -> 'id',
      'host', 'h', 'ttlSeconds', 1, 'trigger', jsonb_build_array(jsonb_build_object('id', null, 'name', ${text}))))`,
  ],
  ['/remotes', 'sync.remote', ['id', 'name'], `jsonb_build_object('ca_cert', ${text})`],
  ['/syncs', 'sync.sync_run', ['id', 'task_id'], `jsonb_build_object('result', jsonb_build_object('r', ${text}))`],
  ['/tasks', 'tasks.task', ['id'], `jsonb_build_object('result', jsonb_build_object('r', ${text}))`],
] as const)('a page of %s has at most 4 MiB, and the pages have all', async (path, table, names, large) => {
  await multiply(table, [...names], large)
  const found: string[] = []
  let pages = 0
  for (let cursor = ''; ; pages++) {
    const { status, body } = await stack.api('GET', `${path}?limit=1000${cursor}`)
    expect(status).toBe(200)
    expect(JSON.stringify(body).length).toBeLessThan((4 << 20) + 50_000)
    found.push(...body.items.map((item: { id: string }) => item.id))
    if (body.next === null) break
    cursor = `&cursor=${body.next}`
  }
  expect(pages).toBeGreaterThanOrEqual(2)
  expect(new Set(found).size).toBe(found.length)
  expect(found.length).toBeGreaterThanOrEqual(copies + 1)
})
