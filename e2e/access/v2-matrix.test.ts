import { beforeAll, describe, expect, test } from '@jest/globals'
import { pushRandomImage, startUpload } from '../berth/push.ts'
import { basic, sha256 } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import type { Login } from '../clients/client.ts'
import { type Role, roles } from './matrix-table.ts'
import { basicOf, grant, makeUser, tokenFor, untilGranted } from './people.ts'
import { type Content, type Method, methods, v2Table } from './v2-table.ts'

const berth = withBerth()
const namespace = 'v2-matrix'
const [secret, open, missing, owned] = ['secret', 'open', 'missing', 'owned'].map((name) => `${namespace}/${name}`) as [
  string,
  string,
  string,
  string,
]
/** Who asks: every role on the namespace, and the person that pushed `owned` first and has no role any more. */
type Caller = Role | 'maker'
const callers: readonly Caller[] = [...roles, 'maker']
const logins = new Map<Caller, Login>()
const nameOf = (caller: Caller) => `v2-matrix-${caller}`
const content = new Map<string, Content>()

beforeAll(async () => {
  const admin = { url: berth.url, authorization: basic(berth) }
  for (const caller of callers) {
    logins.set(caller, await makeUser(berth, nameOf(caller)))
    if (caller === 'admin') await berth.api('PATCH', `/users/${nameOf(caller)}`, { admin: true })
    else if (caller !== 'nobody' && caller !== 'maker')
      await grant(berth, { user: nameOf(caller) }, caller, `namespace:${namespace}`)
  }
  const maker = loginOf('maker')
  const makes = await grant(berth, { user: maker.user }, 'pusher', `${namespace}/*`)
  const makerTarget = { url: berth.url, authorization: basicOf(maker) }
  for (const name of [secret, open, owned]) {
    const target = name === owned ? makerTarget : admin
    const { digest, layers } = await pushRandomImage(target, name, '1')
    const session = new URL(await startUpload(admin, name)).pathname.split('/').at(-1) ?? ''
    content.set(name, { tag: '1', digest, layer: layers[0] ?? '', session })
  }
  await berth.api('DELETE', `/grants/${makes}`)
  await berth.api('PATCH', `/distributions/${encodeURIComponent(open)}`, { access: 'public' })
  await untilGranted(berth, maker, owned, 'pull,push,delete')
  await untilGranted(berth, maker, secret, '')
}, 120_000)

const loginOf = (caller: Caller): Login => logins.get(caller) ?? { user: '', password: '' }
const doors = ['Basic', 'a token'] as const
/** The Authorization header of a caller, who asks for a token of all that it may under these names. */
async function headerOf(caller: Caller, door: (typeof doors)[number], name: string): Promise<string> {
  if (door === 'Basic') return basicOf(loginOf(caller))
  return `Bearer ${await tokenFor(berth, loginOf(caller), `repository:${name}:pull,push,delete`)}`
}

type Outcome = { outcome: 'allowed' | 'refused' | 'no such method'; answer: string }

/** What comes of a request whose body and content are good for nothing, so that it spoils nothing where it is let in. */
async function ask(method: Method, path: string, authorization: string | undefined): Promise<Outcome> {
  const answer = await fetch(`${berth.url}${path}`, {
    method,
    headers: { ...(authorization ? { authorization } : {}), 'content-type': 'application/octet-stream' },
    ...(method === 'PUT' || method === 'PATCH' || method === 'POST' ? { body: '' } : {}),
  })
  const text = await answer.text()
  const challenge = answer.headers.get('www-authenticate') ?? ''
  const outcome =
    answer.status === 401 || answer.status === 403 ? 'refused' : answer.status === 405 ? 'no such method' : 'allowed'
  return { outcome, answer: `${answer.status} ${challenge} ${text}` }
}

/** Of what is asked to be deleted, one that is not there: the right to it is looked at first. */
const spared = (method: Method, name: string): Content => {
  const there = content.get(name) ?? { tag: '1', digest: sha256('none'), layer: sha256('none'), session: 'none' }
  if (method !== 'DELETE') return there
  return { tag: 'none', digest: sha256('none'), layer: sha256('none'), session: 'none' }
}

const rankOf = (role: Role) => roles.indexOf(role)
const ways = Object.entries(v2Table).flatMap(([kind, { ways: paths, needs }]) =>
  Object.entries(paths).flatMap(([way, path]) =>
    methods.map((method) => ({ kind, way, path, method, needs: needs[method] })),
  ),
)

describe.each(doors)('by %s', (door) => {
  test.each(ways)('$method of $kind by $way is for who has the right role, and for nobody else', async (row) => {
    const { method, path, needs } = row
    const found: Record<string, string> = {}
    const wanted: Record<string, string> = {}
    const isReading = needs === 'puller'
    // What no role lets do is asked by the first and the last of them only.
    for (const caller of needs ? callers : (['nobody', 'admin'] as const))
      for (const name of [secret, open, owned]) {
        const key = `${caller} on ${name}`
        const { outcome } = await ask(method, path(name, spared(method, name)), await headerOf(caller, door, name))
        found[key] = outcome
        const isOwner = caller === 'maker' && name === owned
        const may = isOwner || (caller !== 'maker' && rankOf(caller) >= rankOf(needs ?? 'puller'))
        const isAllowed = may || (name === open && (isReading || needs === undefined))
        wanted[key] = isAllowed ? (needs === undefined ? 'no such method' : 'allowed') : 'refused'
      }
    expect(found).toEqual(wanted)
  })
})

test('without a login only what is public is read, and nothing is written', async () => {
  const wrong: string[] = []
  for (const { kind, way, path, method, needs } of ways)
    for (const name of [secret, open, owned]) {
      const { outcome } = await ask(method, path(name, spared(method, name)), undefined)
      const isRead = name === open && (needs === 'puller' || needs === undefined)
      const wanted = isRead ? (needs ? 'allowed' : 'no such method') : 'refused'
      if (outcome !== wanted) wrong.push(`${method} ${kind} by ${way} of ${name}: ${outcome}`)
    }
  expect(wrong).toEqual([])
})

test('what is private and what is missing are answered alike, to the byte, to who may neither', async () => {
  const wrong: string[] = []
  const requestId = /"requestId":"[^"]*"/g
  for (const { kind, way, path, method } of ways)
    for (const authorization of [
      undefined,
      basicOf(loginOf('nobody')),
      `Bearer ${await tokenFor(berth, loginOf('nobody'), `repository:${secret}:pull`, `repository:${missing}:pull`)}`,
    ]) {
      const there = content.get(secret) as Content
      const [one, other] = await Promise.all(
        [secret, missing].map(async (name) => {
          const { answer } = await ask(method, path(name, there), authorization)
          return answer.replaceAll(name, 'NAME').replaceAll(requestId, '')
        }),
      )
      if (one !== other) wrong.push(`${method} ${kind} by ${way}: ${one} and ${other}`)
    }
  expect(wrong).toEqual([])
})
