import { randomBytes } from 'node:crypto'
import { openDatabase } from '@berth/service'
import { makeDatabase } from '@berth/service/testing'
import { expect, test } from '@jest/globals'
import request from 'supertest'
import { clientId, clientSecret, startIssuer } from './testing/issuer.fixture.ts'
import { openBrowser } from './testing/oidc-browser.fixture.ts'
import { type StartedAuth, startAuth } from './testing/started.fixture.ts'

test('the secret of a provider holds when the key that seals it is changed, and without its key it is to be sent again', async () => {
  const [oldKey = '', key = ''] = [1, 2].map(() => randomBytes(32).toString('base64'))
  const adminPassword = 'the password of the admin'
  const [database, issuer] = await Promise.all([makeDatabase(), startIssuer()])
  let auth: StartedAuth | undefined
  const restart = async (keys: { secretsKey: string; secretsPreviousKeys?: string }) => {
    await auth?.stop()
    auth = await startAuth(database.url, { adminPassword, ...keys })
    return auth.url
  }
  const logIn = async (url: string) => {
    const browser = openBrowser(url)
    const begun = await browser.get('/api/v1/oidc/corp/login')
    if (begun.status !== 302) return begun
    return browser.get(`/api/v1/oidc/corp/callback?${issuer.authorize(String(begun.headers.location))}`)
  }
  try {
    let url = await restart({ secretsKey: oldKey })
    const provider = {
      name: 'corp',
      issuer: issuer.url,
      clientId,
      clientSecret,
      allowPrivateAddresses: true,
      allowHttp: true,
    }
    await request(url).post('/api/v1/identity-providers').auth('admin', adminPassword).send(provider).expect(201)
    await restart({ secretsKey: key, secretsPreviousKeys: oldKey })
    url = await restart({ secretsKey: key })
    expect((await logIn(url)).status).toBe(302)
    const { authorization } = issuer.seen.findLast(({ path }) => path === '/token') ?? {}
    expect(authorization).toBe(`Basic ${btoa(`${clientId}:${clientSecret.replaceAll(' ', '+')}`)}`)
    const sql = openDatabase({ url: database.url, schema: 'auth', max: 1 })
    await sql.query('update identity_provider set sealed_client_secret = $1', [randomBytes(64)])
    await sql.close()
    const answer = await logIn(url)
    expect([answer.status, answer.body.code]).toEqual([502, 'provider_wrong'])
    expect(answer.body.detail).toContain('BERTH_SECRETS_KEY')
  } finally {
    await auth?.stop()
    await issuer.stop()
    await database.drop()
  }
}, 60_000)

test('who begins to log in at one replica may come back to another', async () => {
  const adminPassword = 'the password of the admin'
  const [database, issuer] = await Promise.all([makeDatabase(), startIssuer()])
  const replicas = await Promise.all([1, 2].map(() => startAuth(database.url, { adminPassword })))
  try {
    const [one = '', other = ''] = replicas.map(({ url }) => url)
    const open = { allowPrivateAddresses: true, allowHttp: true }
    const provider = { name: 'corp', issuer: issuer.url, clientId, clientSecret, ...open }
    await request(one).post('/api/v1/identity-providers').auth('admin', adminPassword).send(provider).expect(201)
    const begun = await request(one).get('/api/v1/oidc/corp/login').expect(302)
    const [cookie = ''] = (begun.headers['set-cookie'] as unknown as string[]).map((set) => set.split(';')[0] ?? '')
    await request(other)
      .get(`/api/v1/oidc/corp/callback?${issuer.authorize(String(begun.headers.location))}`)
      .set('cookie', cookie)
      .expect(302)
  } finally {
    await Promise.all(replicas.map((one) => one.stop()))
    await issuer.stop()
    await database.drop()
  }
}, 60_000)
