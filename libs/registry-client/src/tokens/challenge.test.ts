import { describe, expect, test } from '@jest/globals'
import { parseChallenges } from './challenge.ts'

const token = { scheme: 'bearer', parameters: { realm: 'https://a/t', service: 's' } }
const login = { scheme: 'basic', parameters: { realm: 'r' } }

describe('a challenge is read', () => {
  test.each([
    [
      'Bearer realm="https://a/t",service="s",scope="repository:a:pull,push"',
      { scheme: 'bearer', parameters: { ...token.parameters, scope: 'repository:a:pull,push' } },
    ],
    ['bearer realm=https://a/t , service=s', token],
    ['Bearer realm="https://a/t" service="s"', token],
    ['BEARER REALM = "https://a/t", Service="s"', token],
    ['Basic realm="a \\"quoted\\" b, c=d"', { scheme: 'basic', parameters: { realm: 'a "quoted" b, c=d' } }],
    ['Basic', { scheme: 'basic', parameters: {} }],
    ['Bearer realm="https://a/t",scope=,service="s"', token],
    ['Bearer realm="https://a/t",service="s",scope="unclosed', token],
  ])('%s', (header, challenge) => expect(parseChallenges(header)).toEqual([challenge]))

  test.each(['', ',,', '"', 'realm="x"', '= = ='])('unless it is none: %j', (header) =>
    expect(parseChallenges(header)).toEqual([]),
  )
})

describe('several challenges are told apart', () => {
  const negotiate = { scheme: 'negotiate', parameters: {} }
  const ntlm = { scheme: 'ntlm', parameters: {} }
  test.each([
    ['Bearer realm="https://a/t",service="s", Basic realm="r"', [token, login]],
    ['Basic realm="r", Bearer realm="https://a/t",service="s"', [login, token]],
    ['Negotiate, NTLM, Basic realm="r"', [negotiate, ntlm, login]],
    ['Negotiate YIIabc+/-._~==, Basic realm="r"', [negotiate, login]],
    ['Basic realm="r",Negotiate abc', [login, negotiate]],
    ['NTLM,, ,Bearer realm=https://a/t,service=s', [ntlm, token]],
    [
      'Digest realm="x, Basic realm=y", qop="auth,auth-int", nonce=z, Basic realm="r"',
      [{ scheme: 'digest', parameters: { realm: 'x, Basic realm=y', qop: 'auth,auth-int', nonce: 'z' } }, login],
    ],
    [
      'SCRAM-SHA-256 realm="x", AWS4-HMAC-SHA256, Basic realm="r"',
      [{ scheme: 'scram-sha-256', parameters: { realm: 'x' } }, { scheme: 'aws4-hmac-sha256', parameters: {} }, login],
    ],
  ])('%s', (header, challenges) => expect(parseChallenges(header)).toEqual(challenges))
})

test.each([
  `Bearer ${'a="\\'.repeat(5_000)}`,
  `Bearer ${','.repeat(50_000)}a=b`,
  `${'a'.repeat(50_000)}="`,
  `a${' '.repeat(50_000)}b=`,
  'a '.repeat(25_000),
  `${'a="b",'.repeat(10_000)}"`,
  `A ${'a='.repeat(25_000)}`,
])('a hostile header is read at once (%#)', (header) => {
  const startedAt = performance.now()
  parseChallenges(header)
  expect(performance.now() - startedAt).toBeLessThan(200)
})
