import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type People, startPeople } from './testing/people.fixture.ts'

let people: People
beforeAll(async () => {
  people = await startPeople('ann', 'bob')
}, 60_000)
afterAll(() => people?.stop())

const scope = 'repository:team/app:pull'

test('who comes into a group has what it was granted, and has it no more with the next token after leaving', async () => {
  await people.make('/groups', { name: 'web', members: ['ann'] })
  await people.grant({ group: 'web' }, 'puller', 'team/*')
  expect([await people.granted('ann', scope), await people.granted('bob', scope)]).toEqual([scope, ''])
  const { body } = await people.ask('admin', 'patch', '/groups/web', { members: ['bob'] }).expect(200)
  expect(body).toMatchObject({ name: 'web', builtIn: false, memberCount: 1, members: ['bob'], createdBy: 'admin' })
  expect([await people.granted('ann', scope), await people.granted('bob', scope)]).toEqual(['', scope])
  await people.ask('admin', 'delete', '/groups/web').expect(204)
  expect(await people.granted('bob', scope)).toBe('')
  // Made again it inherits nothing.
  await people.make('/groups', { name: 'web', members: ['bob'] })
  expect(await people.granted('bob', scope)).toBe('')
})

test('robots are in groups too', async () => {
  const { secret } = await people.make('/robots', { name: 'ci', namespace: 'team' })
  await people.make('/groups', { name: 'robots', members: ['team/ci', 'ann'] })
  await people.grant({ group: 'robots' }, 'pusher', 'namespace:team')
  const { body } = await people.ask('admin', 'get', '/groups/robots').expect(200)
  expect(body.members).toEqual(['ann', 'team/ci'])
  const wanted = 'repository:team/new:pull,push'
  expect(await people.granted({ name: 'team/ci', password: secret }, wanted)).toBe(wanted)
})

test('everybody with a login has what is granted to the built-in group, and nobody else', async () => {
  const grant = await people.grant({ group: 'authenticated' }, 'puller', 'shared/*')
  const { secret } = await people.make('/robots', { name: 'reader' })
  const wanted = 'repository:shared/base:pull'
  expect(await people.granted('bob', wanted)).toBe(wanted)
  expect(await people.granted({ name: 'reader', password: secret }, wanted)).toBe(wanted)
  const anonymous = await fetch(`${people.url}/token?scope=${wanted}`)
  const { token } = (await anonymous.json()) as { token: string }
  expect(JSON.parse(atob(token.split('.')[1] ?? '')).access).toEqual([])
  await people.ask('admin', 'delete', `/grants/${grant}`).expect(204)
  expect(await people.granted('bob', wanted)).toBe('')
})

test('the built-in group stays as it is', async () => {
  const { body } = await people.ask('admin', 'get', '/groups/authenticated').expect(200)
  expect(body).toMatchObject({ builtIn: true, memberCount: null, members: [], createdBy: null })
  for (const [method, sent] of [
    ['delete', undefined],
    ['patch', { members: ['ann'] }],
  ] as const) {
    const refused = await people.ask('admin', method, '/groups/authenticated', sent).expect(409)
    expect(refused.body.code).toBe('built_in')
  }
})

test('a member that is nobody, or a group, is refused by its place, and nothing is changed', async () => {
  await people.make('/groups', { name: 'kept', members: ['ann'] })
  for (const members of [
    ['ann', 'nobody'],
    ['ann', 'kept'],
    ['ann', 'authenticated'],
  ]) {
    const { body } = await people.ask('admin', 'patch', '/groups/kept', { members }).expect(400)
    expect(body).toMatchObject({ field: 'members[1]', detail: expect.stringContaining(`"${members[1]}"`) })
    await people.ask('admin', 'post', '/groups', { name: 'never', members }).expect(400)
  }
  await people.ask('admin', 'post', '/groups', { name: 'never', members: ['ann', 'ann'] }).expect(400)
  expect((await people.ask('admin', 'get', '/groups/kept')).body.members).toEqual(['ann'])
  await people.ask('admin', 'get', '/groups/never').expect(404)
})

test('groups are listed by name, in pages', async () => {
  const names: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: string = `/groups?limit=1${cursor ? `&cursor=${cursor}` : ''}`
    const { body } = await people.ask('admin', 'get', page).expect(200)
    names.push(...body.items.map(({ name }: { name: string }) => name))
    cursor = body.next
  }
  expect(names).toEqual(['authenticated', 'kept', 'robots', 'web'])
  const found = await people.ask('admin', 'get', '/groups?q=rob').expect(200)
  expect(found.body.items).toMatchObject([{ name: 'robots', memberCount: 2 }])
})

test('who may not see accounts learns of no group', async () => {
  await people.ask('ann', 'get', '/groups').expect(403)
  await people.ask('ann', 'get', '/groups/kept').expect(403)
  await people.ask('ann', 'post', '/groups', { name: 'mine' }).expect(403)
  await people.make('/roles', { name: 'auditor', verbs: ['account.read'] })
  await people.grant({ user: 'ann' }, 'auditor', '*')
  await people.ask('ann', 'get', '/groups').expect(200)
  await people.ask('ann', 'get', '/users').expect(200)
  await people.ask('ann', 'post', '/groups', { name: 'mine' }).expect(403)
  await people.ask('ann', 'delete', '/groups/kept').expect(403)
})
