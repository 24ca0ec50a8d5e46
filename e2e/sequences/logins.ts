import { expect, test } from '@jest/globals'
import { everything } from '../conformance/berth.ts'
import { pathOf, type Reply, Wire } from '../conformance/wire.ts'
import { freshImage, give, type Place, startReplay } from './replay.ts'

const openName = 'logins/open'
const closedName = 'logins/closed'

/** What clients send to log in, or because they have no login (docs/protocol.md#challenges). */
export function loginSequences(place: () => Place, open: (repository: string) => Promise<void>): void {
  /** Asks with one header, and follows no challenge. */
  const asker = (authorization: string) => {
    const { url } = place()
    const wire = new Wire({ name: 'asker', url, headers: { authorization }, supports: everything })
    return { get: (path: string) => wire.send('GET', path), close: () => wire.close() }
  }
  const challengeOf = ({ headers }: Reply) =>
    Object.fromEntries(
      [...String(headers['www-authenticate']).matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
    )
  const names = ({ body }: Reply) =>
    (JSON.parse(body.toString()) as { repositories: string[] }).repositories.filter((name) =>
      name.startsWith('logins/'),
    )
  const image = freshImage()
  const putIn = async () => {
    const writer = startReplay(place(), 'writer')
    for (const name of [openName, closedName]) await give(writer, name, image, 'latest')
    writer.close()
    await open(openName)
  }

  test('a client whose configuration has an empty login pulls what is public, and may log in for the rest', async () => {
    await putIn()
    for (const header of ['Basic Og==', 'Basic', 'Bearer ']) {
      const client = asker(header)
      expect((await client.get(`/v2/${openName}/manifests/latest`)).status).toBe(200)
      for (const path of ['/v2/', `/v2/${closedName}/manifests/latest`]) {
        const reply = await client.get(path)
        expect(reply.status).toBe(401)
        expect(challengeOf(reply)).toEqual({
          realm: `${place().url}/token`,
          service: 'berth',
          ...(path === '/v2/' ? {} : { scope: `repository:${closedName}:pull` }),
        })
      }
      expect((await client.get('/token?service=berth')).status).toBe(200)
      client.close()
    }
  })

  test('a token that has run out is challenged with the scope that the next one takes', async () => {
    await putIn()
    const client = asker('Bearer of.old.times')
    const scopes = {
      [`/v2/${closedName}/manifests/latest`]: `repository:${closedName}:pull`,
      [`/v2/${closedName}/tags/list?ns=registry.example.com`]: `repository:${closedName}:pull`,
      '/v2/_catalog': 'registry:catalog:*',
      '/v2/': undefined,
    }
    for (const [path, scope] of Object.entries(scopes)) {
      const reply = await client.get(path)
      expect([reply.status, challengeOf(reply)]).toMatchObject([401, { error: 'invalid_token' }])
      expect(challengeOf(reply).scope).toBe(scope)
    }
    client.close()
  })

  test('podman search: the catalog, with a token that was asked for without a scope', async () => {
    await putIn()
    const administrator = asker(place().authorization)
    const { body } = await administrator.get('/token?service=berth&account=admin')
    const { token } = JSON.parse(body.toString()) as { token: string }
    administrator.close()
    const client = asker(`Bearer ${token}`)
    const first = await client.get('/v2/_catalog?n=1&last=logins')
    expect(names(first)).toEqual([closedName])
    const next = pathOf(/<([^>]+)>; rel="next"/.exec(String(first.headers.link))?.[1] ?? '')
    expect(names(await client.get(next))).toEqual([openName])
    expect(first.headers.warning).toBeUndefined()
    // It lists what the caller may see, and lets in to nothing.
    expect((await client.get(`/v2/${closedName}/manifests/latest`)).status).toBe(401)
    client.close()
    const stranger = startReplay({ ...place(), authorization: '' }, 'stranger')
    expect(names(await stranger.ask('GET', '/v2/_catalog?n=1000'))).toEqual([openName])
    stranger.close()
  })
}
