import { createHmac, createPrivateKey, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { createSealer } from '@berth/service'
import { expect, test } from '@jest/globals'
import { query } from '../berth/databases.ts'
import { expectSound, sendRaw } from './raw.ts'
import { privateName, type Scene } from './scene.ts'

type Key = { kid: string; privateKey: KeyObject; jwk: object }

/** Tokens that are not ours, not any more, or not for this. */
export function tokenProperties(scene: () => Scene): void {
  test('a token opens only with our key, our algorithm, for us, in its time, and what it names', async () => {
    const key = await signingKey(scene())
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    const now = Math.floor(Date.now() / 1000)
    const access = [{ type: 'repository', name: privateName, actions: ['pull'] }]
    const good = {
      iss: 'berth-auth',
      aud: 'berth',
      sub: randomUUID(),
      name: 'admin',
      epoch: 0,
      iat: now,
      nbf: now,
      exp: now + 300,
      typ: 'access',
      access,
    }
    const head = { alg: 'ES256', typ: 'JWT', kid: key.kid }
    const ours = (claims: object, header: object = head) => join(header, claims, (text) => es256(text, key.privateKey))
    const tried: Record<string, string> = {
      'of another service': ours({ ...good, aud: 'another-registry' }),
      'of another issuer': ours({ ...good, iss: 'somebody' }),
      'for nobody in particular': ours({ ...good, aud: undefined }),
      'past its time': ours({ ...good, iat: now - 900, nbf: now - 900, exp: now - 600 }),
      'before its time': ours({ ...good, nbf: now + 600 }),
      'of a name': ours({ ...good, sub: 'admin' }),
      'without an end': ours({ ...good, exp: undefined }),
      'for a year': ours({ ...good, exp: now + 31_536_000 }),
      'a refresh token': ours({ ...good, typ: 'refresh' }),
      'of another name': ours({
        ...good,
        access: [{ type: 'repository', name: `${privateName}x`, actions: ['pull'] }],
      }),
      'of a prefix of the name': ours({ ...good, access: [{ type: 'repository', name: 'closed', actions: ['*'] }] }),
      'for something else': ours({ ...good, access: [{ type: 'registry', name: privateName, actions: ['pull'] }] }),
      'without a signature': join({ ...head, alg: 'none' }, good, () => Buffer.alloc(0)),
      'alg none, signature kept': join({ ...head, alg: 'none' }, good, (text) => es256(text, key.privateKey)),
      'HS256 with the public key': join({ ...head, alg: 'HS256' }, good, (text) =>
        hs256(text, JSON.stringify(key.jwk)),
      ),
      'of another key under our name': join(head, good, (text) => es256(text, other)),
      'with its key inside': join({ ...head, jwk: key.jwk, kid: undefined }, good, (text) => es256(text, other)),
      'with a key to be fetched': join({ ...head, jku: 'http://127.0.0.1:1/', kid: 'x' }, good, (text) =>
        es256(text, other),
      ),
      'with a path for a key': ours(good, { ...head, kid: '../../etc/passwd' }),
      'with SQL for a key': ours(good, { ...head, kid: "' or 1=1 --" }),
      'of ten thousand characters': ours({ ...good, filler: 'x'.repeat(10_000) }),
    }
    const read = (token: string, method = 'GET') =>
      sendRaw(scene().stack.url, {
        method,
        target: `/v2/${privateName}/manifests/latest`,
        headers: { authorization: `Bearer ${token}` },
      })
    expect((await read(ours(good))).status).toBe(200)
    for (const [title, token] of Object.entries(tried)) {
      const reply = await read(token)
      expectSound(reply, 'GET')
      expect({ title, status: reply.status }).toEqual({ title, status: 401 })
      expect(reply.headers['www-authenticate']).toMatch(/error="(invalid_token|insufficient_scope)"/)
    }
    // To pull is not to push or to delete.
    for (const method of ['PUT', 'DELETE']) expect((await read(ours(good), method)).status).toBe(401)
  }, 30_000)
}

/** The key that this Berth signs with, out of its database: with any other a token would be wrong in more than one thing. */
async function signingKey({ stack }: Scene): Promise<Key> {
  const { secretsKey } = JSON.parse(readFileSync(path.join(stack.home, 'secrets.json'), 'utf8')) as {
    secretsKey: string
  }
  const sql =
    "select kid, sealed_private_key as sealed, public_jwk as jwk from auth.signing_key where state = 'signing'"
  const [row] = (await query(stack.databaseUrl ?? '', sql)) as { kid: string; sealed: Buffer; jwk: object }[]
  if (!row) throw new Error('there is no signing key')
  return {
    kid: row.kid,
    jwk: row.jwk,
    privateKey: createPrivateKey(createSealer(secretsKey).open(row.sealed, row.kid)),
  }
}

function join(header: object, claims: object, signature: (text: string) => Buffer): string {
  const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${text}.${signature(text).toString('base64url')}`
}

function es256(text: string, key: KeyObject): Buffer {
  return sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' })
}

function hs256(text: string, secret: string): Buffer {
  return createHmac('sha256', secret).update(text).digest()
}
