import { describe, expect, test } from '@jest/globals'
import { type AccessObject, decide, type Grant, type Rights } from './decide.ts'
import { builtInRoles, type Verb } from './verbs.ts'

const me = '00000000-0000-4000-8000-000000000001'
const id = '00000000-0000-4000-8000-0000000000aa'
const app: AccessObject = { kind: 'repository', name: 'team/app', id }
const rights = (...grants: Grant[]): Rights => ({ accountId: me, grants })
const may = (given: Rights, verb: Verb, object: AccessObject = app) => decide(given, verb, object).allowed
const pusher = { id: 'g', verbs: builtInRoles.pusher }

describe('a grant', () => {
  test.each<[string, Grant, string[], string[]]>([
    ['on everything', { ...pusher, all: true }, ['team/app', 'x', 'team'], []],
    ['on a prefix', { ...pusher, prefix: 'team/' }, ['team/app', 'team/a/b'], ['team', 'teams/app', 'team2']],
    ['on a namespace', { ...pusher, namespace: 'team' }, ['team', 'team/app'], ['teams', 'team2/app']],
    ['on one object', { ...pusher, kind: 'repository', objectId: id }, ['team/app', 'renamed'], []],
  ])('%s covers what it names, and gives its verbs alone', (_title, grant, covered, others) => {
    for (const name of covered) {
      expect(decide(rights(grant), 'push', { ...app, name })).toEqual({ allowed: true, because: { grant: 'g' } })
      expect(decide(rights(grant), 'delete', { ...app, name })).toEqual({
        allowed: false,
        because: null,
        missing: 'delete',
      })
    }
    for (const name of others) expect(may(rights(grant), 'push', { ...app, name })).toBe(false)
  })

  test('on one object is not on another one of its name, nor on what is still to be made', () => {
    const grant: Grant = { ...pusher, kind: 'repository', objectId: id }
    for (const object of [
      { ...app, id: me },
      { kind: 'repository', name: 'team/app' } as const,
      { ...app, kind: 'remote' } as const,
    ])
      expect(may(rights(grant), 'push', object)).toBe(false)
  })

  test('on a prefix is not on the namespace of that name, and one on the namespace is', () => {
    const namespace: AccessObject = { kind: 'namespace', name: 'team', id }
    const owner = { id: 'g', verbs: builtInRoles.owner }
    expect(may(rights({ ...owner, prefix: 'team/' }), 'namespace.update', namespace)).toBe(false)
    expect(may(rights({ ...owner, namespace: 'team' }), 'namespace.update', namespace)).toBe(true)
  })
})

test('an owner may do all with what it owns, and not publish it for its namespace', () => {
  const own = { ...app, ownerId: me }
  for (const verb of builtInRoles.owner.filter((one) => one !== 'publish')) expect(may(rights(), verb, own)).toBe(true)
  expect([may(rights(), 'publish', own), may(rights(), 'administer', own)]).toEqual([false, false])
  expect(may({ accountId: null, grants: [] }, 'read', { ...app, ownerId: null })).toBe(false)
})

test('what is public everybody may see and pull, and no more', () => {
  const open = { ...app, isPublic: true }
  const nobody = { accountId: null, grants: [] }
  expect((['read', 'pull', 'push'] as const).map((verb) => may(nobody, verb, open))).toEqual([true, true, false])
  expect(decide(nobody, 'pull', open)).toEqual({ allowed: true, because: { public: true } })
})

test('each built-in role has all of the one before it, and only admin administers', () => {
  const order = ['puller', 'pusher', 'maintainer', 'owner', 'admin'] as const
  for (const [i, role] of order.entries())
    for (const lesser of order.slice(0, i))
      expect(builtInRoles[role]).toEqual(expect.arrayContaining([...builtInRoles[lesser]]))
  expect(order.filter((role) => builtInRoles[role].includes('administer'))).toEqual(['admin'])
})
