import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { pushEmptyImage } from '../berth/push.ts'
import { basic, make } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import type { Client, Login } from '../clients/client.ts'
import { dockerMissing, startDocker } from '../clients/docker.ts'
import { startPodman } from '../clients/podman.ts'
import { startSkopeo } from '../clients/skopeo.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeForeignIssuer } from './foreign-issuer.ts'
import { apiAs, basicOf, grant, makeRobot, makeUser } from './people.ts'

const berth = withBerth()
const team = 'logins'
const at = (name: string) => `${berth.host}/${team}/${name}`
const refused = /denied|unauthorized|authentication required/i
let count = 0

beforeAll(async () => {
  const admin = { url: berth.url, authorization: basic(berth) }
  for (const name of [`${team}/open`, `${team}/secret`, 'logins-others/app']) await pushEmptyImage(admin, name, '1')
  await berth.api('PATCH', `/distributions/${encodeURIComponent(`${team}/open`)}`, { access: 'public' })
}, 90_000)

type Held = { login: Login; end: () => Promise<unknown> }
/** A login that may push in the team's namespace, and what ends it. */
type Kind = { name: string; make: () => Promise<Held> }

async function user(end: (name: string) => Promise<unknown>): Promise<Held> {
  const login = await makeUser(berth, `logins-user-${++count}`)
  await grant(berth, { user: login.user }, 'pusher', `namespace:${team}`)
  return { login, end: () => end(login.user) }
}
async function robot(end: (path: string) => Promise<unknown>): Promise<Held> {
  const login = await makeRobot(berth, `ci-${++count}`, team)
  await grant(berth, { robot: login.user }, 'pusher', `namespace:${team}`)
  return { login, end: () => end(`/robots/${encodeURIComponent(login.user)}`) }
}
async function personalToken(): Promise<Held> {
  const { login } = await user(async () => undefined)
  const { body } = await apiAs(berth, login, 'POST', '/me/tokens', { name: 'laptop' })
  const { id, secret } = body as { id: string; secret: string }
  return {
    login: { user: login.user, password: secret },
    end: () => apiAs(berth, login, 'DELETE', `/me/tokens/${id}`),
  }
}
async function job(): Promise<Held> {
  const robotLogin = await makeRobot(berth, `ci-${++count}`, team)
  await grant(berth, { robot: robotLogin.user }, 'pusher', `namespace:${team}`)
  const name = `job-${count}`
  const cluster = makeForeignIssuer()
  await make(berth, '/trusts', { name, ...cluster.trust, robot: robotLogin.user })
  return { login: { user: name, password: cluster.token() }, end: () => berth.api('DELETE', `/trusts/${name}`) }
}
/** Waits until a robot has run out, which it is made to in a moment. */
async function runOut(path: string): Promise<void> {
  const expiresAt = new Date(Date.now() + 1_000).toISOString()
  expect((await berth.api('PATCH', path, { expiresAt })).status).toBe(200)
  await until('the robot has expired', async () => Date.now() > Date.parse(expiresAt))
}

const kinds: Kind[] = [
  {
    name: 'a user that is made inactive',
    make: () => user((name) => berth.api('PATCH', `/users/${name}`, { active: false })),
  },
  { name: 'a robot that is deleted', make: () => robot((path) => berth.api('DELETE', path)) },
  {
    name: 'a user that gets another password',
    make: () => user((name) => berth.api('PATCH', `/users/${name}`, { password: 'another good password' })),
  },
  { name: 'a user that is deleted', make: () => user((name) => berth.api('DELETE', `/users/${name}`)) },
  {
    name: 'a robot whose secret is rotated',
    make: () => robot((path) => berth.api('POST', `${path}/rotate`, { overlapSeconds: 0 })),
  },
  { name: 'a robot that expires', make: () => robot(runOut) },
  { name: 'a personal token that is deleted', make: personalToken },
  { name: 'a job whose trust is deleted', make: job },
]

const programs: [string, string | undefined, () => Client | Promise<Client>, Kind[]][] = [
  ['skopeo', missingPrograms('skopeo').join(), startSkopeo, kinds],
  ['podman', missingPrograms('podman').join(), startPodman, kinds.slice(0, 2)],
  ['docker', dockerMissing(), startDocker, kinds],
]

describe.each(programs)('with %s', (program, missing, start, held) => {
  const runs = missing ? test.skip : test
  let client: Client
  beforeAll(async () => {
    if (!missing) client = await start()
  }, 60_000)
  afterAll(async () => {
    await client?.stop()
  }, 60_000)

  runs(
    'without a login what is public is pulled, and nothing else is pulled or pushed',
    async () => {
      await client.login(berth.host)
      expect(await client.pull(`${at('open')}:1`)).toMatch(/^sha256:/)
      await expect(client.pull(`${at('secret')}:1`)).rejects.toThrow(refused)
      await expect(client.pull(`${at('missing')}:1`)).rejects.toThrow(refused)
      await expect(client.push(`${at('open')}:1`, `${at('open')}:2`)).rejects.toThrow(refused)
    },
    60_000,
  )

  runs.each(held)(
    '$name logs in, pulls and pushes where it may, and then no more',
    async ({ make: makeLogin }) => {
      const { login, end } = await makeLogin()
      const wrong = { user: login.user, password: 'this is not the one' }
      await expect(client.login(berth.host, wrong)).rejects.toThrow(/unauthorized|invalid username|incorrect/i)
      await client.login(berth.host, login)
      expect(await client.pull(`${at('open')}:1`)).toMatch(/^sha256:/)
      expect(await client.pull(`${at('secret')}:1`)).toMatch(/^sha256:/)
      await expect(client.pull(`${at('missing')}:1`)).rejects.toThrow(/not found|unknown/i)
      await expect(client.pull(`${berth.host}/logins-others/app:1`)).rejects.toThrow(refused)
      await expect(client.pull(`${berth.host}/logins-others/missing:1`)).rejects.toThrow(refused)
      await client.push(`${at('secret')}:1`, `${at('secret')}:${program}`)
      await client.push(`${at('secret')}:1`, `${at(`made-${++count}`)}:1`)
      await expect(client.push(`${at('secret')}:1`, `${berth.host}/logins-others/app:2`)).rejects.toThrow(refused)
      await expect(client.push(`${at('secret')}:1`, `${berth.host}/logins-others/new:1`)).rejects.toThrow(refused)
      const { body } = await berth.api('GET', '/repositories?q=logins-others')
      expect(body.items.map(({ name }: { name: string }) => name)).toEqual(['logins-others/app'])
      await end()
      // What the client still holds opens nothing.
      await expect(client.pull(`${at('secret')}:1`)).rejects.toThrow(refused)
      await expect(client.push(`${at('secret')}:1`, `${at('secret')}:3`)).rejects.toThrow(refused)
      await expect(client.login(berth.host, login)).rejects.toThrow(/unauthorized|invalid username|incorrect/i)
      const headers = { authorization: basicOf(login) }
      expect((await fetch(`${berth.url}/v2/${team}/secret/tags/list`, { headers })).status).toBe(401)
    },
    120_000,
  )
})
