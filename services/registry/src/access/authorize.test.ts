import type { IncomingMessage } from 'node:http'
import { type AuthCommands, commandsOf } from '@berth/commands'
import { createInternalClient } from '@berth/service'
import { createTokenCheck } from '@berth/tokens'
import { afterAll, describe, expect, test } from '@jest/globals'
import { createGatekeeper } from './authorize.ts'

const away = createInternalClient({ baseUrl: 'http://127.0.0.1:1', from: 'registry', to: 'auth', serviceKey: 'x' })
afterAll(() => away.close())
const gatekeeper = createGatekeeper({
  tokens: createTokenCheck([]),
  refreshKeys: () => {},
  auth: commandsOf<AuthCommands>(away),
  externalUrl: 'https://berth.example',
})
const requestWith = (authorization: string | undefined) =>
  ({ headers: authorization === undefined ? {} : { authorization }, socket: {} }) as IncomingMessage
const scope = 'repository:team/app:pull,push'

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
    expect(caller).toMatchObject({ subject: '', pulls: [] })
    expect(() => gatekeeper.require(request, caller, 'team/app', ['pull'], { isPublic: true })).not.toThrow()
    const enter = () => gatekeeper.require(request, caller, 'team/app', ['pull'], { isPublic: false })
    expect(enter).toThrow('log in to pull team/app')
    expect(enter).toThrow(expect.objectContaining({ code: 'UNAUTHORIZED' }))
  },
)
