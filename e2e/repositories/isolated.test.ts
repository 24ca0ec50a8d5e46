import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Client } from 'pg'
import { until } from '../berth/processes.ts'
import { pushRandomImage, type Target } from '../berth/push.ts'
import { basic, make, repositoryPath } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

let database: Client
afterAll(() => database?.end())
const stack = withBerth({ own: true })
let berth: Target
let id: string
let oldDigest: string

beforeAll(async () => {
  berth = { url: stack.url, authorization: basic(stack) }
  for (const name of ['isolated/bad', 'isolated/good']) {
    await make(stack, '/repositories', { name })
    await make(stack, '/distributions', { name, basePath: name, repository: name })
  }
  oldDigest = (await pushRandomImage(berth, 'isolated/bad', 'v1')).digest
  id = (await stack.api('GET', repositoryPath('isolated/bad'))).body.id
  database = new Client({ connectionString: stack.databaseUrl })
  await database.connect()
  // Stands for whatever the model cannot take of one repository: its database refuses the rows.
  await database.query(`
    create function registry.refuse() returns trigger language plpgsql as $$ begin raise exception 'no room for this row'; end $$;
    create trigger refuse before insert on registry.served_tag for each row
      when (new.repository_id = '${id}') execute function registry.refuse()`)
}, 90_000)

const digestOf = async (name: string, tag: string) => {
  const answer = await fetch(`${stack.url}/v2/isolated/${name}/manifests/${tag}`, {
    method: 'HEAD',
    headers: { authorization: basic(stack), accept: '*/*' },
  })
  return answer.headers.get('docker-content-digest') ?? answer.status
}
const readiness = async () => {
  const answer = await fetch(`${stack.url}/readyz`)
  return { status: answer.status, body: await answer.json() }
}

test('a repository that cannot be followed is told of, and serves what it did', async () => {
  const { status, body } = await stack.api('PUT', `${repositoryPath('isolated/bad')}/tags/v2`, { digest: oldDigest })
  expect({ status, body }).toMatchObject({ status: 503, body: { code: 'not_yet_served' } })
  expect(await readiness()).toMatchObject({ status: 200, body: { isolatedRepositories: 1 } })
  expect(await (await fetch(`${stack.url}/metrics`)).text()).toMatch(/^berth_isolated_repositories 1$/m)
  const { body: store } = await stack.api('GET', '/store')
  expect(store.isolated).toEqual([
    expect.objectContaining({ id, name: 'isolated/bad', reason: expect.stringContaining('no room for this row') }),
  ])
  expect(await digestOf('bad', 'v1')).toBe(oldDigest)
})

test('nothing of it is public', async () => {
  expect(JSON.stringify(await readiness())).not.toMatch(/bad|no room/)
})

test('it holds up no other, also after a restart', async () => {
  expect(await digestOf('good', 'v1')).toBe(404)
  const { digest } = await pushRandomImage(berth, 'isolated/good', 'v1')
  expect(await digestOf('good', 'v1')).toBe(digest)
  await stack.restart()
  expect(await readiness()).toMatchObject({ status: 200, body: { isolatedRepositories: 1 } })
  expect(await digestOf('good', 'v1')).toBe(digest)
  expect(await digestOf('bad', 'v1')).toBe(oldDigest)
  await pushRandomImage(berth, 'isolated/good', 'v2')
}, 60_000)

test('what is nowhere in the model is not said to be missing', async () => {
  await database.query('delete from registry.pointer where repository_id = $1', [id])
  await database.query('delete from registry.served_tag where repository_id = $1', [id])
  await database.query('delete from registry.served_repository where id = $1', [id])
  await stack.restart()
  expect(await digestOf('bad', 'v1')).toBe(503)
  expect(await digestOf('neither', 'v1')).toBe(404)
}, 60_000)

test('it is tried again by itself, and is served once that succeeds', async () => {
  await database.query('drop trigger refuse on registry.served_tag')
  await until('the repository is followed again', async () => (await digestOf('bad', 'v2')) === oldDigest, 120_000)
  expect((await readiness()).body.isolatedRepositories).toBeUndefined()
}, 150_000)
