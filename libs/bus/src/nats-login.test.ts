import { expect, test } from '@jest/globals'
import { nkeyAuthenticator, nkeys } from 'nats'
import { logInBySeed } from './nats-login.ts'
import { makeNatsUser } from './nats-users.ts'

test('a login by a seed is the one that the client of NATS makes of it', () => {
  for (let i = 0; i < 20; i++) {
    const { seed, publicKey } = makeNatsUser()
    const nonce = `nonce-${i}`
    const login = logInBySeed(seed)(nonce)
    expect(login).toEqual(nkeyAuthenticator(Buffer.from(seed))(nonce))
    expect(login).toMatchObject({ nkey: publicKey })
    expect(nkeys.fromSeed(Buffer.from(seed)).getPublicKey()).toBe(publicKey)
  }
})
