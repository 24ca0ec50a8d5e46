import { describe, expect, test } from '@jest/globals'
import { loginIn, parseAuthorization } from './authorization.ts'
import { bearerChallenge } from './challenge.ts'

describe('the challenge', () => {
  test('has every parameter in quotes, those that are absent left away', () => {
    expect(bearerChallenge({ realm: 'https://b.example/token', service: 'berth' })).toBe(
      'Bearer realm="https://b.example/token",service="berth"',
    )
    expect(
      bearerChallenge({ realm: 'r', service: 's', scope: 'repository:a:pull,push', error: 'insufficient_scope' }),
    ).toBe('Bearer realm="r",service="s",scope="repository:a:pull,push",error="insufficient_scope"')
  })

  test('a value cannot end its quotes or begin a line', () => {
    const challenge = bearerChallenge({ realm: 'http://x/"\\,error="y\r\nset-cookie: a=b', service: 's' })
    expect(challenge).not.toMatch(/[\r\n]/)
    expect(challenge).toBe('Bearer realm="http://x/\\"\\\\,error=\\"yset-cookie: a=b",service="s"')
  })
})

describe('Authorization', () => {
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
  test.each([
    [basic('user:pass'), { kind: 'basic', username: 'user', password: 'pass' }],
    [basic('user:pa:ss'), { kind: 'basic', username: 'user', password: 'pa:ss' }],
    [basic('user:'), { kind: 'basic', username: 'user', password: '' }],
    [basic(':pass'), { kind: 'basic', username: '', password: 'pass' }],
    [basic('üser:pässword'), { kind: 'basic', username: 'üser', password: 'pässword' }],
    [basic('a:b').replace('Basic', 'bAsIc'), { kind: 'basic', username: 'a', password: 'b' }],
    ['Bearer abc.def', { kind: 'bearer', token: 'abc.def' }],
    ['bearer   abc', { kind: 'bearer', token: 'abc' }],
  ])('%s is read', (header, credentials) => expect(parseAuthorization(header)).toEqual(credentials))

  test.each([
    undefined,
    '',
    'Basic',
    'Basic ',
    'Bearer',
    'Bearer ',
    'Digest username="x"',
    basic('no colon'),
    'Basic !!!!',
    'abc',
    `Bearer ${'a'.repeat(20_000)}`,
  ])('%.40s is nobody', (header) => expect(parseAuthorization(header)).toBeUndefined())

  test.each([undefined, '', ' ', 'Basic', 'basic ', 'Bearer', 'BEARER  ', basic(':'), 'basic  Og==', 'Basic Og'])(
    '%s has no login in it',
    (header) => expect(loginIn(header)).toBeUndefined(),
  )

  test.each([
    basic('user:'),
    basic(':pass'),
    basic('no colon'),
    'Bearer abc',
    'Negotiate',
    'Digest username=""',
    'abc',
  ])('%s is a login, right or wrong', (header) => expect(loginIn(header)).toBe(header))
})
