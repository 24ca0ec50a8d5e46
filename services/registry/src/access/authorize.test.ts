import { generateKeyPairSync, sign } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { noRights } from '@berth/access'
import { type AuthCommands, commandsOf } from '@berth/commands'
import { createInternalClient } from '@berth/service'
import { privateKeyOf } from '@berth/service/testing'
import { type Access, createTokenCheck, type PublicJwk, tokenIssuer, tokenService } from '@berth/tokens'
import { afterAll, describe, expect, test } from '@jest/globals'
import { createGatekeeper } from './authorize.ts'
import { createSeeAs } from './rights.ts'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'k', use: 'sig', alg: 'ES256' } as PublicJwk
const away = createInternalClient({
  baseUrl: 'http://127.0.0.1:1',
  from: 'registry',
  to: 'auth',
  privateKey: privateKeyOf('registry'),
})
afterAll(() => away.close())
const gatekeeper = createGatekeeper({
  tokens: createTokenCheck([jwk]),
  refreshKeys: () => {},
  auth: commandsOf<AuthCommands>(away),
  externalUrl: 'https://berth.example',
})
const requestWith = (authorization: string | undefined) =>
  ({ headers: authorization === undefined ? {} : { authorization }, socket: {} }) as IncomingMessage
const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
const seeAs = createSeeAs(commandsOf<AuthCommands>(away))
const tokenFor = (subject: string, access: Access[]) => {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: tokenIssuer,
    aud: tokenService,
    sub: subject,
    name: 'ana',
    epoch: 0,
    iat: now,
    exp: now + 60,
    typ: 'access',
    access,
  }
  const text = [{ alg: 'ES256', kid: 'k' }, claims].map((part) => encode(part)).join('.')
  return `Bearer ${text}.${sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}
const ana = '00000000-0000-4000-8000-000000000001'
const scope = 'repository:team/app:pull,push'
const catalog = { type: 'registry', name: 'catalog', actions: ['*'] }
const listed = async (authorization: string | undefined) => {
  const request = requestWith(authorization)
  return seeAs(await gatekeeper.identify(request, [catalog], undefined), 2_000)
}

describe('credentials that are not right', () => {
  test.each(['Bearer not-a-token', 'Digest username="x"', 'nonsense'])(
    'are challenged with the scope that the request takes: %s',
    async (authorization) => {
      const refusal = { code: 'UNAUTHORIZED', headers: expect.anything() }
      const asked = gatekeeper.identify(requestWith(authorization), [], scope)
      await expect(asked).rejects.toMatchObject(refusal)
      const { headers } = (await asked.catch((error: unknown) => error)) as { headers: Record<string, string> }
      expect(headers['www-authenticate']).toBe(
        `Bearer realm="https://berth.example/token",service="berth",scope="${scope}",error="invalid_token"`,
      )
    },
  )

  test('are challenged without a scope where none is needed', async () => {
    const asked = gatekeeper.identify(requestWith('Bearer not-a-token'), [], undefined)
    const { headers } = (await asked.catch((error: unknown) => error)) as { headers: Record<string, string> }
    expect(headers['www-authenticate']).not.toContain('scope')
  })
})

test.each([undefined, 'Basic Og==', 'basic', 'Bearer '])(
  'who has no login (%s) is anonymous, and may log in where that is not enough',
  async (authorization) => {
    const request = requestWith(authorization)
    const caller = await gatekeeper.identify(request, [], scope)
    expect(caller).toMatchObject({ actor: { id: null }, named: [] })
    expect(() => gatekeeper.require(request, caller, 'team/app', ['pull'], { isPublic: true })).not.toThrow()
    const enter = () => gatekeeper.require(request, caller, 'team/app', ['pull'], { isPublic: false })
    expect(enter).toThrow('log in to pull team/app')
    expect(enter).toThrow(expect.objectContaining({ code: 'UNAUTHORIZED' }))
  },
)

describe('while auth is away', () => {
  test('a token without a scope lists public names only, and with a warning', async () => {
    expect(await listed(tokenFor(ana, []))).toEqual({ rights: noRights(null), names: [], isSure: false })
  }, 10_000)

  test.each<[string, string | undefined]>([
    ['no token', undefined],
    ['an anonymous token', tokenFor('', [])],
  ])('%s lists what is public, and that is sure', async (_title, authorization) => {
    expect(await listed(authorization)).toEqual({ rights: noRights(null), names: [], isSure: true })
  })

  test('that one may list says not what: a token lists what it names', async () => {
    const named = tokenFor(ana, [catalog, { type: 'repository', name: 'team/app', actions: ['pull'] }])
    expect(await listed(named)).toEqual({ rights: noRights(null), names: ['team/app'], isSure: false })
  }, 10_000)
})
