import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { login, type People, startPeople } from './testing/people.fixture.ts'

let people: People
beforeAll(async () => {
  people = await startPeople('ann')
  await people.make('/groups', { name: 'web' })
  await people.make('/robots', { name: 'ci' })
  await people.make('/robots', { name: 'ci', namespace: 'team' })
}, 60_000)
afterAll(() => people?.stop())

describe.each(['/users', '/groups', '/robots'])('a name is taken once for %s together with the others', (path) => {
  const more = path === '/users' ? { password: 'the password of somebody' } : {}

  test.each(['ann', 'web', 'ci', 'authenticated'])('%s', async (name) => {
    const { body } = await people.ask('admin', 'post', path, { name, ...more }).expect(409)
    expect(body).toMatchObject({ code: 'name_taken', field: 'name', detail: expect.stringContaining(`"${name}"`) })
  })

  test('and what it would have made is not there', async () => {
    const { body } = await people.ask('admin', 'get', path).expect(200)
    const expected = { '/users': ['admin', 'ann'], '/groups': ['authenticated', 'web'], '/robots': ['ci', 'team/ci'] }
    expect(body.items.map(({ name }: { name: string }) => name)).toEqual(expected[path as keyof typeof expected])
  })

  test.each(['', '<token>', 'a:b', 'a/b', ' a', 'a'.repeat(101), '0e7a7b1c-6f0d-4f6e-9d2b-5f0c5f9f6f01'])(
    '%j is none',
    async (name) => {
      const { body } = await people.ask('admin', 'post', path, { name, ...more }).expect(400)
      expect(body.field).toBe('name')
    },
  )

  test('fields that are none of it are refused, so that none is set by guessing', async () => {
    for (const field of ['isAdmin', 'is_admin', 'id', 'sessionEpoch', 'secret_hash']) {
      const { body } = await people.ask('admin', 'post', path, { name: 'new', ...more, [field]: 1 }).expect(400)
      expect(body.field).toBe(field)
    }
  })
})

test('robots of two namespaces have one name each', async () => {
  const { body } = await people.ask('admin', 'post', '/robots', { name: 'ci', namespace: 'team' }).expect(409)
  expect(body.code).toBe('name_taken')
  expect((await people.make('/robots', { name: 'ci', namespace: 'other' })).name).toBe('other/ci')
})

test('a name is free again once its holder is deleted', async () => {
  for (const [path, name] of [
    ['/users', 'ann'],
    ['/groups', 'web'],
    ['/robots', 'ci'],
  ] as const)
    await people.ask('admin', 'delete', `${path}/${name}`).expect(204)
  await people.make('/users', login('web'))
  await people.make('/groups', { name: 'ci' })
  await people.make('/robots', { name: 'ann' })
})
