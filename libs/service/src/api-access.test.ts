import { type AccessObject, builtInRoles, type Grant } from '@berth/access'
import { describe, expect, test } from '@jest/globals'
import { type AccessRule, readRule, requireLogin, requireRights } from './api-access.ts'
import type { Principal } from './principal.ts'
import { Problem } from './problem.ts'

const me = '00000000-0000-4000-8000-000000000001'
const callerWith = (...grants: Grant[]): Principal => ({
  id: me,
  name: 'ana',
  admin: false,
  rights: { accountId: me, grants },
})
const team = (verbs: Grant['verbs']): Grant => ({ id: 'g', verbs, prefix: 'team/' })
const objects: AccessObject[] = [
  { kind: 'repository', id: '1', name: 'team/app' },
  { kind: 'repository', id: '2', name: 'other/app' },
  { kind: 'repository', id: '3', name: 'other/mine', ownerId: me },
]
const finders = {
  repository: async (idOrName: string) => objects.find(({ id, name }) => [id, name].includes(idOrName)),
}

async function outcome(rule: unknown, caller: Principal, sent: { params?: object; body?: unknown }): Promise<string> {
  try {
    const request = { params: {}, query: {}, body: undefined, ...sent }
    await requireRights(readRule(rule, 'it'), caller, request as never, { objects: finders, what: 'GET /it' })
    return 'allowed'
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return `${error.status} ${error.code} ${error.message}`
  }
}
const onPath = [{ verb: 'push', on: 'repository:{repository}' }]
const path = (repository: string) => ({ params: { repository } })

describe('a rule that names an object', () => {
  test('allows what a grant on it allows, by id and by name alike', async () => {
    for (const name of ['team/app', '1'])
      expect(await outcome(onPath, callerWith(team(builtInRoles.pusher)), path(name))).toBe('allowed')
    expect(await outcome(onPath, callerWith(), path('other/mine'))).toBe('allowed')
  })

  test('answers for what may not be seen as for what is not there', async () => {
    const caller = callerWith(team(builtInRoles.pusher))
    const hidden = await outcome(onPath, caller, path('other/app'))
    const missing = await outcome(onPath, caller, path('other/none'))
    expect(hidden.replace('other/app', 'X')).toBe(missing.replace('other/none', 'X'))
    expect(hidden).toMatch(/^404 repository_not_found/)
  })

  test('says which verb and which role are missing of what may be seen', async () => {
    const said = await outcome(onPath, callerWith(team(builtInRoles.puller)), path('team/app'))
    expect(said).toMatch(/^403 not_allowed ana may not GET \/it: that needs "push" on repository "team\/app"/)
  })

  test('asks after fields of the body, however deep, and not after what was not sent', async () => {
    const rule = [{ verb: 'pull', on: 'repository:{body.from.repository}' }]
    const caller = callerWith(team(builtInRoles.puller))
    const bodies = [{ from: { repository: 'team/app' } }, { from: null }, {}, undefined]
    for (const body of bodies) expect(await outcome(rule, caller, { body })).toBe('allowed')
    expect(await outcome(rule, caller, { body: { from: { repository: 'other/app' } } })).toMatch(/^404/)
  })

  test('needs no object where one is to be made', async () => {
    const rule = [{ verb: 'repository.create', new: 'repository:{body.name}' }]
    const caller = callerWith(team(builtInRoles.pusher))
    expect(await outcome(rule, caller, { body: { name: 'team/new' } })).toBe('allowed')
    expect(await outcome(rule, caller, { body: { name: 'other/new' } })).toMatch(/^403 not_allowed/)
  })
})

test('what is for administrators is refused before a body is read', () => {
  const rule: AccessRule = [{ verb: 'administer', over: 'everything' }]
  expect(() => requireLogin(rule, callerWith(team(builtInRoles.owner)), 'POST /it')).toThrow(/administer/)
  expect(() => requireLogin(rule, undefined, 'POST /it')).toThrow(/Log in/)
  expect(() => requireLogin('anonymous', undefined, 'GET /it')).not.toThrow()
})

test.each([
  [undefined],
  ['user'],
  ['admin'],
  [[]],
  [{ list: 'everything' }],
  [[{ verb: 'pull' }]],
  [[{ verb: 'pulls', on: 'repository:{repository}' }]],
  [[{ verb: 'pull', on: 'image:{repository}' }]],
  [[{ verb: 'pull', on: 'repository:team' }]],
  [[{ verb: 'pull', over: 'something' }]],
  [[{ verb: 'pull', on: 'repository:{repository}', new: 'repository:{repository}' }]],
])('a service does not start with x-access %j', (rule) => expect(() => readRule(rule, 'GET /it')).toThrow('GET /it'))
