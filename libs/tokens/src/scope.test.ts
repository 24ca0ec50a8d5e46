import { describe, expect, test } from '@jest/globals'
import { allows, formatScope, parseScopes } from './scope.ts'

const repository = (name: string, ...actions: string[]) => ({ type: 'repository', name, actions })

describe('scopes', () => {
  test.each([
    ['repository:a/b:pull', [repository('a/b', 'pull')]],
    ['repository:a/b:pull,push', [repository('a/b', 'pull', 'push')]],
    ['repository:a/b:pull,pull', [repository('a/b', 'pull')]],
    ['repository:host:5000/a/b:pull', [repository('host:5000/a/b', 'pull')]],
    ['repository(plugin):a/b:pull', [repository('a/b', 'pull')]],
    ['repository:a:*', [repository('a', '*')]],
    ['registry:catalog:*', [{ type: 'registry', name: 'catalog', actions: ['*'] }]],
    ['repository:a:pull repository:b:push', [repository('a', 'pull'), repository('b', 'push')]],
    ['  repository:a:pull  ', [repository('a', 'pull')]],
    ['repository:a:', [repository('a')]],
    ['repository:a:,,', [repository('a')]],
  ])('%j is read', (scope, wanted) => expect(parseScopes([scope])).toEqual(wanted))

  test.each(['', ' ', 'repository', 'repository:', 'repository:a', 'repository::pull', ':a:pull', '::', 'pull'])(
    '%j asks for nothing',
    (scope) => expect(parseScopes([scope])).toEqual([]),
  )

  test('a scope that comes several times is several scopes', () => {
    expect(parseScopes(['repository:a:pull', 'nonsense', 'repository:b:pull'])).toHaveLength(2)
    expect(parseScopes([])).toEqual([])
  })

  test('what was read is written as it was', () => {
    for (const scope of ['repository:a/b:pull,push', 'repository:host:5000/a:pull', 'registry:catalog:*'])
      expect(parseScopes([scope]).map(formatScope)).toEqual([scope])
  })
})

describe('what a grant allows', () => {
  const granted = [repository('a/b', 'pull'), { type: 'registry', name: 'c', actions: ['pull'] }, repository('d', '*')]
  test.each([
    ['a/b', 'pull', true],
    ['a/b', 'push', false],
    ['a', 'pull', false],
    ['a/b/c', 'pull', false],
    ['A/B', 'pull', false],
    ['c', 'pull', false],
    ['d', 'delete', true],
    ['', '', false],
  ])('%s %s: %s', (name, action, wanted) => expect(allows(granted, name, action)).toBe(wanted))

  test('no grant allows nothing', () => expect(allows([], 'a', 'pull')).toBe(false))
})
