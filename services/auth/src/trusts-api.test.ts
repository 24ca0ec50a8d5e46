import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type People, startPeople } from './testing/people.fixture.ts'

let people: People

beforeAll(async () => {
  people = await startPeople('ann')
  for (const name of ['ci', 'cd']) await people.make('/robots', { name, namespace: 'team' })
  await people.make('/trusts', trustOf('main-job'))
}, 60_000)
afterAll(() => people?.stop())

const trustOf = (name: string, more: object = {}) => ({
  name,
  issuer: 'https://issuer.example',
  audience: 'berth',
  claims: { sub: `job:${name}` },
  robot: 'team/ci',
  ...more,
})

describe('a trust', () => {
  const ask = (method: 'get' | 'post' | 'patch' | 'delete', path = '', body?: object) =>
    people.ask('admin', method, `/trusts${path}`, body)

  test('is made, shown, listed, changed and deleted by administrators only', async () => {
    const { body: made } = await ask('post', '', trustOf('shown', { claims: { sub: ['a', 'b'] } })).expect(201)
    expect(made).toMatchObject({ name: 'shown', claims: { sub: ['a', 'b'] }, robot: 'team/ci', lastUsedAt: null })
    expect((await ask('patch', '/shown', { claims: { sub: 'c' }, robot: 'team/cd' }).expect(200)).body).toMatchObject({
      claims: { sub: 'c' },
      robot: 'team/cd',
    })
    const first = await ask('get', '?limit=1').expect(200)
    expect([first.body.items.length, first.body.next]).toEqual([1, expect.any(String)])
    for (const [method, path, body] of [
      ['get', '', undefined],
      ['post', '', trustOf('mine')],
      ['patch', '/shown', {}],
      ['delete', '/shown', undefined],
    ] as const)
      await people.ask('ann', method, `/trusts${path}`, body).expect(403)
    await ask('delete', `/${made.id}`).expect(204)
    await ask('get', '/shown').expect(404)
  })

  test.each<[string, object, string]>([
    ['no claims', { claims: {} }, 'claims'],
    ['a claim that is a number', { claims: { sub: 7 } }, 'claims.sub'],
    ['a claim that is an object', { claims: { sub: { a: 1 } } }, 'claims.sub'],
    ['a star where there is none', { claims: { project: 'p*' } }, 'claims.project'],
    ['no audience', { audience: '' }, 'audience'],
    ['an unknown field', { admin: true }, 'admin'],
    ['an issuer that is no URL', { issuer: 'x' }, 'issuer'],
    ['the issuer of GitHub and names', { issuer: 'https://token.actions.githubusercontent.com' }, 'claims'],
    ['a private key', { jwks: { keys: [{ kty: 'EC', d: 'x' }] } }, 'jwks.keys[0]'],
    ['a name with a colon', { name: 'a:b' }, 'name'],
  ])('with %s is refused with the field', async (_what, more, field) => {
    const { body } = await ask('post', '', { ...trustOf('bad'), ...more }).expect(400)
    expect(body.field).toBe(field)
    await ask('patch', '/main-job', { claims: {} }).expect(400)
  })

  test('of a robot that is none, or under a name that is taken, is refused', async () => {
    await ask('post', '', trustOf('bad', { robot: 'ann' })).expect(404)
    expect((await ask('post', '', trustOf('main-job')).expect(409)).body.code).toBe('name_taken')
  })
})
