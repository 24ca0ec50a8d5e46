import { expect, test } from '@jest/globals'
import { clearedSessionCookie, csrfTokenOf, readSession, sessionCookie, sessionSecretIn } from './session-cookie.ts'

const secret = `brs_${'a'.repeat(43)}`
const other = `brs_${'b'.repeat(43)}`
const asked = (method: string, headers: Record<string, string>) => ({ method, headers }) as never
const cookie = `berth_session=${secret}`

test('the cookie is for the API alone, out of reach of scripts and other sites, and by https where Berth is', () => {
  const rest = 'Path=/api/v1; HttpOnly; SameSite=Strict'
  expect(sessionCookie(secret, 'http://localhost:8080')).toBe(`${cookie}; ${rest}`)
  expect(sessionCookie(secret, 'https://berth.example')).toBe(`${cookie}; ${rest}; Secure`)
  expect(clearedSessionCookie('http://localhost')).toBe(`berth_session=; ${rest}; Max-Age=0`)
})

test.each<[string, Record<string, string>, string | undefined]>([
  ['no cookie', {}, undefined],
  ['the cookie alone', { cookie }, secret],
  ['the cookie among others', { cookie: `a=b; ${cookie}; c=d` }, secret],
  ['two of them', { cookie: `${cookie}; berth_session=${other}` }, undefined],
  ['something else under its name', { cookie: 'berth_session=1' }, undefined],
  ['another name', { cookie: `xberth_session=${secret}` }, undefined],
  ['an Authorization header beside it', { cookie, authorization: 'Basic Og==' }, undefined],
])('with %s the session is as it should be', (_what, headers, expected) => {
  expect(sessionSecretIn({ headers })).toBe(expected)
})

test('a change takes the token of this very session, and reading does not', () => {
  const token = csrfTokenOf(secret)
  for (const method of ['GET', 'HEAD']) expect(readSession(asked(method, { cookie }))).toBe(secret)
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
    expect(readSession(asked(method, { cookie, 'x-berth-csrf': token }))).toBe(secret)
    for (const wrong of [undefined, '', 'x', `${token}x`, csrfTokenOf(other), secret]) {
      const headers = { cookie, ...(wrong === undefined ? {} : { 'x-berth-csrf': wrong }) }
      expect(() => readSession(asked(method, headers))).toThrow(
        expect.objectContaining({ status: 403, code: 'csrf_token' }),
      )
    }
  }
})
