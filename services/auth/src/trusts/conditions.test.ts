import { describe, expect, test } from '@jest/globals'
import { type Conditions, checkConditions, unmet } from './conditions.ts'

const github = 'https://token.actions.githubusercontent.com'
const cluster = 'https://kubernetes.default.svc.cluster.local'
const other = 'https://issuer.example'

describe('what is trusted is told apart by an id', () => {
  test.each<[string, Conditions]>([
    [github, { repository_id: '1' }],
    [github, { repository_owner_id: ['1', '2'], ref: 'refs/heads/*' }],
    ['https://github.example.com/_services/token', { repository_id: '1' }],
    ['https://gitlab.com', { project_id: '1' }],
    ['https://gitlab.com', { namespace_id: '1' }],
    [cluster, { 'kubernetes.io/namespace': 'team' }],
    [cluster, { sub: 'system:serviceaccount:team:*' }],
    ['https://oidc.eks.eu-west-1.amazonaws.com/id/X', { sub: ['system:serviceaccount:team:ci'] }],
    [other, { sub: 'a' }],
  ])('%s with %j', (issuer, conditions) => expect(() => checkConditions(issuer, conditions)).not.toThrow())

  test.each<[string, Conditions, string]>([
    [other, {}, 'claims'],
    [github, { repository: 'team/app' }, 'claims'],
    [github, { sub: 'repo:team/app:*' }, 'claims'],
    ['https://github.example.com/_services/token', { sub: 'x' }, 'claims'],
    ['https://gitlab.com', { project_path: 'team/app' }, 'claims'],
    [cluster, { sub: 'system:serviceaccount:*' }, 'claims'],
    [cluster, { sub: ['system:serviceaccount:team:ci', 'system:serviceaccount:t*:ci'] }, 'claims'],
    [cluster, { 'kubernetes.io/serviceaccount/name': 'ci' }, 'claims'],
    ['https://container.googleapis.com/v1/projects/x', { sub: 'ci' }, 'claims'],
    [other, { sub: '*' }, 'claims.sub'],
    [other, { sub: [] }, 'claims.sub'],
    [other, { sub: ['a', '**'] }, 'claims.sub'],
    [other, { team: 'a*' }, 'claims.team'],
    [other, { team: '' }, 'claims.team'],
    [other, { aud: 'a' }, 'claims.aud'],
    [other, { exp: '1' }, 'claims.exp'],
    [other, Object.fromEntries(Array.from({ length: 21 }, (_, n) => [`c${n}`, 'a'])), 'claims'],
    [other, { sub: 'x'.repeat(501) }, 'claims.sub'],
  ])('%s with %j is refused', (issuer, conditions, field) =>
    expect(() => checkConditions(issuer, conditions)).toThrow(
      expect.objectContaining({ status: 400, options: expect.objectContaining({ field }) }),
    ),
  )
})

describe('a token meets conditions', () => {
  const pod = {
    'kubernetes.io': { namespace: 'team', serviceaccount: { name: 'ci' } },
    sub: 'system:serviceaccount:team:ci',
  }
  test.each<[Conditions, Record<string, unknown>]>([
    [{ sub: 'a' }, { sub: 'a' }],
    [{ sub: ['a', 'b'] }, { sub: 'b' }],
    [{ n: '7' }, { n: 7 }],
    [{ is: 'true' }, { is: true }],
    [{ ref: 'refs/heads/*' }, { ref: 'refs/heads/main' }],
    [{ sub: '*:ref:refs/tags/v*' }, { sub: 'repo:a/b:ref:refs/tags/v1' }],
    [{ sub: 'a*b*c' }, { sub: 'abc' }],
    [{ 'kubernetes.io/namespace': 'team' }, pod],
    [{ 'kubernetes.io/namespace': 'team', 'kubernetes.io/serviceaccount/name': ['ci', 'cd'] }, pod],
    [
      { 'kubernetes.io/serviceaccount/namespace': 'team', sub: 'x' },
      { 'kubernetes.io/serviceaccount/namespace': 'team', sub: 'x' },
    ],
  ])('%j by %j', (conditions, claims) => expect(unmet(conditions, claims)).toBeUndefined())

  test.each<[Conditions, Record<string, unknown>]>([
    [{ sub: 'a' }, {}],
    [{ sub: 'a' }, { sub: 'ab' }],
    [{ sub: 'a' }, { sub: ['a'] }],
    [{ sub: 'a' }, { sub: { a: 'a' } }],
    [{ sub: 'a', team: 'b' }, { sub: 'a' }],
    [{ team: 'a' }, { team: 'A' }],
    [{ team: 'null' }, { team: null }],
    [{ constructor: 'x' }, { sub: 'a' }],
    [{ ref: 'refs/heads/*' }, { ref: 'refs/pull/heads/x' }],
    [{ ref: 'refs/heads/*' }, { ref: 'x refs/heads/main' }],
    [{ sub: 'a*b*c' }, { sub: 'acb' }],
    [{ sub: 'ab*ba' }, { sub: 'aba' }],
    [{ 'kubernetes.io/namespace': 'team' }, { 'kubernetes.io': { namespace: 'other' } }],
    [{ 'kubernetes.io/namespace': 'team' }, { 'kubernetes.io': 'namespace' }],
    // Whoever the issuer is: such a token is told apart by an id.
    [{ sub: 'repo:a/b:*' }, { sub: 'repo:a/b:x', repository_owner: 'a' }],
    [{ sub: 'x' }, { sub: 'x', project_path: 'a/b', namespace_path: 'a' }],
    [{ 'kubernetes.io/serviceaccount/name': 'ci' }, pod],
  ])('%j not by %j', (conditions, claims) => expect(unmet(conditions, claims)).toEqual(expect.any(String)))

  test('a pattern of many stars takes no time', () => {
    const begun = performance.now()
    expect(unmet({ sub: 'a*'.repeat(250) }, { sub: `${'a'.repeat(8_000)}b` })).toBeUndefined()
    expect(unmet({ sub: `${'a*'.repeat(240)}c` }, { sub: 'a'.repeat(8_000) })).toBeDefined()
    expect(performance.now() - begun).toBeLessThan(500)
  })
})
