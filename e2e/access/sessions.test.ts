import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { pushBlob, pushRandomImage } from '../berth/push.ts'
import { basic } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import type { Client, Login } from '../clients/client.ts'
import { startSkopeo } from '../clients/skopeo.ts'
import { missingPrograms } from '../servers/programs.ts'
import { apiAs, basicOf, grant, makeUser, tokenFor } from './people.ts'

const berth = withBerth()
const space = 'access-sessions'
let ann: Login
let layer: string

beforeAll(async () => {
  const target = { url: berth.url, authorization: basic(berth) }
  await pushRandomImage(target, `${space}/app`, '1')
  const [digest = ''] = (await pushRandomImage(target, `${space}/secret`, '1')).layers
  layer = digest
  const chosen = await makeUser(berth, 'ann-of-sessions')
  ann = { ...chosen, password: 'ann chose this one herself' }
  await apiAs(berth, chosen, 'PATCH', '/me', { password: ann.password, currentPassword: chosen.password })
  await grant(berth, { user: ann.user }, 'owner', `namespace:${space}`)
}, 90_000)

type Session = { cookie: string; csrf: string }

async function openSession(): Promise<Session> {
  const answer = await fetch(`${berth.url}/api/v1/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: ann.user, password: ann.password }),
  })
  const { csrfToken } = (await answer.json()) as { csrfToken: string }
  return { cookie: answer.headers.getSetCookie()[0]?.split(';')[0] ?? '', csrf: csrfToken }
}

async function by(session: Session, method: string, path: string, body?: object): Promise<number> {
  const answer = await fetch(`${berth.url}/api/v1${path}`, {
    method,
    headers: { cookie: session.cookie, 'x-berth-csrf': session.csrf, 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  await answer.body?.cancel()
  return answer.status
}

test('a session opens the API of every service, takes its token for each change, and opens nothing once it was closed', async () => {
  const session = await openSession()
  const lists = ['/me', '/repositories', '/remotes', '/tasks', '/namespaces']
  for (const path of lists) expect([path, await by(session, 'GET', path)]).toEqual([path, 200])
  const forged = { ...session, csrf: 'x' }
  const change = { name: `${space}/by-session` }
  expect(await by(forged, 'POST', '/repositories', change)).toBe(403)
  expect(await by(forged, 'POST', '/remotes', {})).toBe(403)
  expect(await by(session, 'POST', '/repositories', change)).toBe(201)
  expect(await by(session, 'DELETE', '/sessions/current')).toBe(204)
  for (const path of lists) expect([path, await by(session, 'GET', path)]).toEqual([path, 401])
})

test('the cookie opens nothing under /v2', async () => {
  const { cookie } = await openSession()
  const answer = await fetch(`${berth.url}/v2/${space}/app/manifests/1`, { headers: { cookie } })
  await answer.body?.cancel()
  expect(answer.status).toBe(401)
})

async function personalToken(scopes?: string[]): Promise<Login> {
  const name = randomBytes(6).toString('hex')
  const { status, body } = await apiAs(berth, ann, 'POST', '/me/tokens', { name, ...(scopes ? { scopes } : {}) })
  expect(status).toBe(201)
  return { user: ann.user, password: body.secret }
}

/** What a mount without `from` comes to: 201 where the blob is found, 202 for an upload. */
async function mount(authorization: string, digest: string): Promise<number> {
  const answer = await fetch(`${berth.url}/v2/${space}/app/blobs/uploads/?mount=${digest}`, {
    method: 'POST',
    headers: { authorization },
  })
  return answer.status
}

const listed = async (authorization: string) => {
  const answer = await fetch(`${berth.url}/v2/_catalog`, { headers: { authorization } })
  if (!answer.ok) return answer.status
  const { repositories } = (await answer.json()) as { repositories: string[] }
  return repositories.filter((name) => name.startsWith(space))
}

test('a personal token that is limited to scopes finds and lists nothing beside them, though its person may', async () => {
  const scope = `repository:${space}/app:pull,push`
  const [limited, full] = [await personalToken([scope]), await personalToken()]
  const own = await pushBlob({ url: berth.url, authorization: basicOf(limited) }, `${space}/app`, randomBytes(500))
  for (const authorization of [basicOf(limited), `Bearer ${await tokenFor(berth, limited, scope)}`]) {
    expect(await mount(authorization, layer)).toBe(202)
    expect(await mount(authorization, own.digest)).not.toBe(403)
    const secret = await fetch(`${berth.url}/v2/${space}/secret/manifests/1`, { headers: { authorization } })
    await secret.body?.cancel()
    expect([401, 403]).toContain(secret.status)
    expect(await listed(authorization)).not.toContain(`${space}/secret`)
  }
  const open = [basicOf(full), `Bearer ${await tokenFor(berth, full, scope, 'registry:catalog:*')}`]
  for (const authorization of open) {
    expect(await mount(authorization, layer)).toBe(201)
    expect(await listed(authorization)).toContain(`${space}/secret`)
  }
})

const withSkopeo = missingPrograms('skopeo').length === 0 ? test : test.skip
let client: Client | undefined
afterAll(async () => {
  await client?.stop()
}, 60_000)

withSkopeo(
  'skopeo logs in with a personal token, and is out once it was deleted',
  async () => {
    client = startSkopeo()
    const token = await personalToken()
    await client.login(berth.host, token)
    const source = `${berth.host}/${space}/app:1`
    expect(await client.pull(source)).toMatch(/^sha256:/)
    await client.push(source, `${berth.host}/${space}/by-token:1`)
    const { body } = await apiAs(berth, ann, 'GET', '/me/tokens')
    for (const { id } of body.items) await apiAs(berth, ann, 'DELETE', `/me/tokens/${id}`)
    await expect(client.pull(source)).rejects.toThrow(/unauthorized|denied/i)
    await expect(client.login(berth.host, token)).rejects.toThrow(/unauthorized|invalid username/i)
  },
  60_000,
)
