import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Answer } from '../berth/berth.ts'
import { pushRandomImage } from '../berth/push.ts'
import { basic } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import type { Client } from '../clients/client.ts'
import { startSkopeo } from '../clients/skopeo.ts'
import { readTour, screenOf, typeAll } from '../pages/tour.ts'
import { type OidcProvider, startOidcProvider } from '../servers/oidc-provider.ts'
import { missingPrograms } from '../servers/programs.ts'
import { type Browser, logInThrough, openBrowser } from './browser.ts'

const berth = withBerth({ own: true })
const space = 'team'
const name = 'corporate'
let provider: OidcProvider
let client: Client | undefined

beforeAll(async () => {
  provider = await startOidcProvider(`${berth.url}/api/v1/oidc/${name}/callback`)
  await pushRandomImage({ url: berth.url, authorization: basic(berth) }, `${space}/app`, '1')
}, 90_000)
afterAll(async () => {
  await client?.stop()
  await provider?.stop()
}, 60_000)

async function by(
  browser: Browser,
  method: string,
  path: string,
  body?: object,
): Promise<Pick<Answer, 'status' | 'body'>> {
  const url = `${berth.url}/api/v1${path}`
  const cookie = browser.cookies(url)
  const current = method === 'GET' ? undefined : await by(browser, 'GET', '/sessions/current')
  const answer = await fetch(url, {
    method,
    headers: { cookie, 'content-type': 'application/json', 'x-berth-csrf': current?.body.csrfToken ?? '' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  return { status: answer.status, body: await answer.json().catch(() => undefined) }
}

test('the page about it sets it up as it says', async () => {
  const here = (text: string) =>
    text.replace(/"https:\/\/login[^"]*"/, `"${provider.issuer}", "allowHttp": true, "allowPrivateAddresses": true`)
  const steps = readTour(new URL('../../docs/how-to/oidc.md', import.meta.url), 'oidc')
  expect(steps).toHaveLength(3)
  const setUp = `export BERTH=${berth.url} LOGIN='${berth.user}:${berth.password}'`
  const outputs = await typeAll(
    steps.map(({ command }) => here(command)),
    { cwd: process.cwd(), setUp },
  )
  for (const [i, step] of steps.entries()) expect(outputs[i]).toMatch(screenOf(step))
})

test('a person logs in through a real provider, has the rights of its groups there, and loses them with the groups', async () => {
  provider.groups.set('olga', ['dev', 'others'])
  const first = openBrowser()
  const page = await logInThrough(first, berth.url, name, 'olga')
  expect([page.url, page.status]).toEqual([`${berth.url}/`, 200])
  expect((await by(first, 'GET', '/me')).body).toEqual({ name: 'olga', admin: false })
  expect((await by(first, 'GET', `/repositories/${encodeURIComponent(`${space}/app`)}`)).status).toBe(200)
  provider.groups.set('olga', ['others'])
  const second = openBrowser()
  await logInThrough(second, berth.url, name, 'olga')
  for (const one of [first, second])
    expect((await by(one, 'GET', `/repositories/${encodeURIComponent(`${space}/app`)}`)).status).toBe(404)
})

test('a provider that is away ends no session and no personal token', async () => {
  provider.groups.set('petra', ['dev'])
  const browser = openBrowser()
  await logInThrough(browser, berth.url, name, 'petra')
  const { status, body: token } = await by(browser, 'POST', '/me/tokens', { name: 'docker' })
  expect(status).toBe(201)
  await provider.stop()
  expect((await by(browser, 'GET', '/me')).body.name).toBe('petra')
  const authorization = `Basic ${btoa(`petra:${token.secret}`)}`
  expect((await fetch(`${berth.url}/token`, { headers: { authorization } })).status).toBe(200)
  const refused = await fetch(`${berth.url}/api/v1/oidc/${name}/login`, { redirect: 'manual' })
  await refused.body?.cancel()
  // The browser is still sent there: where it is sent is remembered.
  expect(refused.status).toBe(302)
  if (missingPrograms('skopeo').length > 0) return
  client = startSkopeo()
  await client.login(berth.host, { user: 'petra', password: token.secret })
  expect(await client.pull(`${berth.host}/${space}/app:1`)).toMatch(/^sha256:/)
}, 60_000)
