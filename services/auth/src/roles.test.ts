import { builtInRoles } from '@berth/access'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type People, startPeople } from './testing/people.fixture.ts'

let people: People
beforeAll(async () => {
  people = await startPeople('ann')
}, 60_000)
afterAll(() => people?.stop())

test('everybody with a login sees the built-in roles with their verbs, and those that were made', async () => {
  await people.make('/roles', { name: 'lister', verbs: ['read'] })
  const { body } = await people.ask('ann', 'get', '/roles').expect(200)
  const names = ['admin', 'lister', 'maintainer', 'owner', 'puller', 'pusher']
  expect(body.items.map(({ name }: { name: string }) => name)).toEqual(names)
  for (const { name, verbs, builtIn, id } of body.items) {
    expect({ builtIn, id }).toEqual(
      name === 'lister' ? { builtIn: false, id: expect.any(String) } : { builtIn: true, id: null },
    )
    if (builtIn) expect(verbs).toEqual(builtInRoles[name as keyof typeof builtInRoles])
  }
  expect((await people.ask('ann', 'get', '/roles/puller').expect(200)).body.verbs).toEqual(['read', 'pull'])
  const first = await people.ask('ann', 'get', '/roles?limit=4').expect(200)
  const second = await people.ask('ann', 'get', `/roles?limit=4&cursor=${first.body.next}`).expect(200)
  expect([...first.body.items, ...second.body.items]).toEqual(body.items)
  expect((await people.ask('ann', 'get', '/roles?q=list')).body.items).toHaveLength(1)
})

test('a role of one’s own has its verbs wherever it is granted, and other ones at once when it is changed', async () => {
  const { id } = await people.make('/roles', { name: 'tagger', verbs: ['pull', 'push', 'pull'].slice(0, 2) })
  await people.told({
    kind: 'distribution',
    name: 'team/app',
    repositoryId: await people.told({ kind: 'repository', name: 'team/app' }),
  })
  await people.grant({ user: 'ann' }, 'tagger', 'team/*')
  const scope = 'repository:team/app:pull,push,delete'
  expect(await people.granted('ann', scope)).toBe('repository:team/app:pull,push')
  await people.ask('admin', 'patch', `/roles/${id}`, { verbs: ['delete'] }).expect(200)
  expect(await people.granted('ann', scope)).toBe('repository:team/app:delete')
})

test('a role that somebody has is not deleted, and the way to see who is named', async () => {
  const refused = await people.ask('admin', 'delete', '/roles/tagger').expect(409)
  expect(refused.body).toMatchObject({ code: 'role_in_use', hint: expect.stringContaining('/grants?role=tagger') })
  const { body } = await people.ask('admin', 'get', '/grants?role=tagger').expect(200)
  expect(body.items).toHaveLength(1)
  await people.ask('admin', 'delete', `/grants/${body.items[0].id}`).expect(204)
  await people.ask('admin', 'delete', '/roles/tagger').expect(204)
  await people.ask('ann', 'get', '/roles/tagger').expect(404)
})

test('a verb that is none is refused by its place', async () => {
  for (const [verbs, field] of [
    [['read', 'pul'], 'verbs[1]'],
    [['administer'], 'verbs[0]'],
    [[], 'verbs'],
    [['read', 'read'], 'verbs'],
    ['read', 'verbs'],
    [['constructor'], 'verbs[0]'],
  ]) {
    const { body } = await people.ask('admin', 'post', '/roles', { name: 'bad', verbs }).expect(400)
    expect(body.field).toBe(field)
    expect((await people.ask('admin', 'patch', '/roles/lister', { verbs }).expect(400)).body.field).toBe(field)
  }
  await people.ask('ann', 'get', '/roles/bad').expect(404)
})

test('a built-in role is neither taken, changed nor deleted', async () => {
  for (const name of Object.keys(builtInRoles)) {
    expect((await people.ask('admin', 'post', '/roles', { name, verbs: ['read'] }).expect(409)).body.code).toBe(
      'name_taken',
    )
    expect((await people.ask('admin', 'patch', `/roles/${name}`, { verbs: ['read'] }).expect(409)).body.code).toBe(
      'built_in',
    )
    expect((await people.ask('admin', 'delete', `/roles/${name}`).expect(409)).body.code).toBe('built_in')
  }
  await people.ask('admin', 'post', '/roles', { name: 'lister', verbs: ['read'] }).expect(409)
  for (const name of ['', 'With Space', 'a/b', '*', 'Ö'])
    expect((await people.ask('admin', 'post', '/roles', { name, verbs: ['read'] }).expect(400)).body.field).toBe('name')
})

test('roles are made, changed and deleted by administrators alone', async () => {
  await people.grant({ user: 'ann' }, 'owner', '*')
  await people.ask('ann', 'post', '/roles', { name: 'mine', verbs: ['read'] }).expect(403)
  await people.ask('ann', 'patch', '/roles/lister', { verbs: ['push'] }).expect(403)
  await people.ask('ann', 'delete', '/roles/lister').expect(403)
})
