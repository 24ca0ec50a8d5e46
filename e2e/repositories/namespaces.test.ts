import { randomBytes } from 'node:crypto'
import { beforeAll, expect, test } from '@jest/globals'
import { pushRandomImage, send, type Target } from '../berth/push.ts'
import { basic, localRemote, make, repositoryPath, sha256, startSync, versionNumbers } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const stack = withBerth()
let berth: Target

beforeAll(async () => {
  berth = { url: stack.url, authorization: basic(stack) }
}, 90_000)

/** The names in all pages of a list. */
async function namesOf(path: string): Promise<string[]> {
  const names: string[] = []
  for (let next: string | null = ''; next !== null; ) {
    const { status, body } = await stack.api('GET', `${path}&limit=2${next ? `&cursor=${next}` : ''}`)
    expect({ status, body }).toMatchObject({ status: 200 })
    names.push(...body.items.map((item: { name: string }) => item.name))
    next = body.next
  }
  return names
}

test('a namespace is there with its first repository, and what is set about it holds for first pushes', async () => {
  await pushRandomImage(berth, 'closed/app', 'v1', [1_000])
  expect(await stack.api('GET', '/namespaces/closed')).toMatchObject({
    status: 200,
    body: { id: null, name: 'closed', defaultAccess: 'private', usage: { repositories: 1, tags: 1 } },
  })
  const made = await make(stack, '/namespaces', { name: 'open', defaultAccess: 'public', labels: { team: 'web' } })
  expect(made).toMatchObject({ name: 'open', usage: { repositories: 0, tags: 0, uniqueBytes: 0 } })
  await pushRandomImage(berth, 'open/app', 'v1', [1_000])
  await send({ url: stack.url }, 'GET', '/v2/open/app/manifests/v1', 200)
  await send({ url: stack.url }, 'GET', '/v2/closed/app/manifests/v1', 401)
  await stack.api('PATCH', '/namespaces/closed', { defaultAccess: 'public' })
  await pushRandomImage(berth, 'closed/second', 'v1', [1_000])
  await send({ url: stack.url }, 'GET', '/v2/closed/second/manifests/v1', 200)
  await send({ url: stack.url }, 'GET', '/v2/closed/app/manifests/v1', 401)
})

test('bytes that several repositories and versions have are counted once', async () => {
  const { text } = await pushRandomImage(berth, 'bytes/one', 'v1', [5_000, 3_000])
  const { body } = await stack.api('GET', '/namespaces/bytes')
  const image = JSON.parse(text)
  const expected = 8_000 + image.config.size + text.length
  expect(body.usage).toEqual({ repositories: 1, tags: 1, uniqueBytes: expected })
  await make(stack, '/repositories', { name: 'bytes/two' })
  await stack.api('POST', `${repositoryPath('bytes/two')}/copy`, { from: { repository: 'bytes/one' } })
  expect((await stack.api('GET', '/namespaces/bytes')).body.usage).toEqual({
    repositories: 2,
    tags: 2,
    uniqueBytes: expected,
  })
})

test('a push beyond the quota is 403 DENIED that says so, for blobs, mounts and manifests, and changes nothing', async () => {
  const { layers } = await pushRandomImage(berth, 'elsewhere/app', 'v1', [5_000])
  await pushRandomImage(berth, 'limited/app', 'v1', [5_000])
  const { uniqueBytes } = (await stack.api('GET', '/namespaces/limited')).body.usage
  await stack.api('PATCH', '/namespaces/limited', { quotaBytes: uniqueBytes + 1_000 })
  const said = new RegExp(`403.*DENIED.*quota.*${uniqueBytes + 1_000}.*${uniqueBytes} are used.*wants`)
  await expect(pushRandomImage(berth, 'limited/other', 'v1', [1_001])).rejects.toThrow(said)
  expect((await stack.api('GET', repositoryPath('limited/other'))).status).toBe(404)
  const mount = `/v2/limited/app/blobs/uploads/?mount=${layers[0]}&from=elsewhere/app`
  await expect(send(berth, 'POST', mount, 201)).rejects.toThrow(said)
  await send(berth, 'GET', `/v2/limited/app/blobs/${layers[0]}`, 404)
  const copy = await stack.api('POST', `${repositoryPath('limited/app')}/copy`, {
    from: { repository: 'elsewhere/app' },
  })
  expect(copy).toMatchObject({
    status: 403,
    body: { code: 'quota_exceeded', field: 'repository', namespace: 'limited', hint: expect.any(String) },
  })
  await make(
    stack,
    '/remotes',
    localRemote('elsewhere', stack.url, 'elsewhere/app', { username: stack.user, password: stack.password }),
  )
  const task = await stack.waitForTask((await startSync(stack, 'limited/app', 'elsewhere')).id)
  expect(task).toMatchObject({
    state: 'failed',
    error: { code: 'quota_exceeded', message: expect.stringContaining('quota') },
  })
  expect(await versionNumbers(stack, 'limited/app')).toEqual([1, 0])
})

test('whoever pushes is warned once nine tenths of the quota are used', async () => {
  await make(stack, '/namespaces', { name: 'warned', quotaBytes: 10_000 })
  const warningOf = async (bytes: number) => {
    const body = randomBytes(bytes)
    const path = `/v2/warned/app/blobs/uploads/?digest=${sha256(body)}`
    const headers = { 'content-type': 'application/octet-stream' }
    return (await send(berth, 'POST', path, 201, { body: new Uint8Array(body), headers })).headers.get('warning')
  }
  expect(await warningOf(8_900)).toBeNull()
  expect(await warningOf(100)).toBe('299 - "the namespace warned holds 9000 of the 10000 bytes of its quota"')
  const text = JSON.stringify({ schemaVersion: 2, manifests: [] })
  const headers = { 'content-type': 'application/vnd.oci.image.index.v1+json' }
  const answer = await send(berth, 'PUT', '/v2/warned/app/manifests/v1', 201, { body: text, headers })
  expect(answer.headers.get('warning')).toContain(`holds ${9_000 + text.length} of`)
})

test('settings are listed with the implicit ones, changed and forgotten', async () => {
  await make(stack, '/namespaces', { name: 'aa-set' })
  await make(stack, '/repositories', { name: 'aa-implicit/x' })
  await make(stack, '/repositories', { name: 'aa-alone' })
  expect(await namesOf('/namespaces?q=aa-')).toEqual(['aa-alone', 'aa-implicit', 'aa-set'])
  const again = await stack.api('POST', '/namespaces', { name: 'aa-set' })
  expect(again).toMatchObject({ status: 409, body: { field: 'name' } })
  expect((await stack.api('DELETE', '/namespaces/aa-set')).status).toBe(204)
  expect((await stack.api('GET', '/namespaces/aa-set')).status).toBe(404)
  expect((await stack.api('DELETE', '/namespaces/aa-implicit')).status).toBe(204)
  expect((await stack.api('GET', '/namespaces/aa-implicit')).status).toBe(200)
})

test('repositories and namespaces are found by their labels, a page at a time', async () => {
  const labels = [
    { team: 'payments', env: 'prod' },
    { team: 'payments', env: 'test', tier: '1' },
    { team: 'payments' },
    { team: 'search', tier: '2' },
    {},
  ]
  for (const [i, each] of labels.entries()) {
    await make(stack, '/repositories', { name: `labels${i}/app`, labels: each })
    await make(stack, '/namespaces', { name: `labels${i}`, labels: each })
  }
  const found = async (selector: string) => {
    const query = `?q=labels&labels=${encodeURIComponent(selector)}`
    const repositories = await namesOf(`/repositories${query}`)
    expect(await namesOf(`/namespaces${query}`)).toEqual(repositories.map((name) => name.replace('/app', '')))
    return repositories.map((name) => Number(/\d/.exec(name)?.[0]))
  }
  expect(await found('team=payments')).toEqual([0, 1, 2])
  expect(await found('team=payments,env!=prod')).toEqual([1, 2])
  expect(await found('tier')).toEqual([1, 3])
  expect(await found('env!=prod,team!=search')).toEqual([1, 2, 4])
  expect(await found('team=payments,tier=2')).toEqual([])
  // As people write it, without any escapes.
  expect(await namesOf('/repositories?labels=team=payments,env!=prod,tier')).toEqual(['labels1/app'])
})

test.each([
  ['POST', '/repositories', { name: 'bad', labels: { 'a b': 'x' } }, 'labels.a b'],
  ['POST', '/repositories', { name: 'bad', labels: { a: 'x'.repeat(257) } }, 'labels.a'],
  ['POST', '/namespaces', { name: 'bad/name' }, 'name'],
  ['POST', '/namespaces', { name: 'bad', defaultAccess: 'open' }, 'defaultAccess'],
  ['POST', '/namespaces', { name: 'bad', labels: { a: 'x,y' } }, 'labels.a'],
  ['PATCH', '/namespaces/closed', { quotaBytes: -1 }, 'quotaBytes'],
  ['PATCH', '/namespaces/closed', { colour: 'red' }, 'colour'],
  ['GET', '/repositories?labels=team==a,', undefined, 'labels'],
  ['POST', '/namespaces', { name: 'bad', retention: { rules: [{ tags: ['*'] }] } }, 'retention.rules[0]'],
  ['POST', '/repositories', { name: 'bad', retention: { untaggedDays: 0 } }, 'retention.untaggedDays'],
  [
    'POST',
    '/repositories',
    { name: 'bad', retention: { rules: [{ tags: ['*', 'x['], keepNewest: 1 }] } },
    'retention.rules[0].tags[1]',
  ],
])('%s %s with bad input is refused with the field', async (method, path, body, field) => {
  expect(await stack.api(method, path, body)).toMatchObject({ status: 400, body: { field } })
})
