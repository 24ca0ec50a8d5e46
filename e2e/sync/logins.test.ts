import { imageOf, requireTokens } from '@berth/registry-client/misbehaving-upstream'
import { expect, test } from '@jest/globals'
import { localRemote, make, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const stack = withBerth()
const upstream = withUpstream()

test.each<[string, (bearer: string) => string | string[]]>([
  ['several lines', (bearer) => ['Negotiate', 'NTLM', 'Basic realm="upstream"', `${bearer},scope=""`]],
  ['one line', (bearer) => `Basic realm="a, b", ${bearer}, Negotiate YII==`],
])('an upstream that offers Negotiate, Basic and Bearer in %s is synced from by tokens', async (lines, linesOf) => {
  const name = `logins/${lines.replace(' ', '-')}`
  upstream.add(name, 'latest', imageOf(name, 50_000))
  const login = { username: 'reader', password: 'pl4nted' }
  const realm = requireTokens(upstream, { login })
  const bearer = `Bearer realm="${upstream.url}/token",service="upstream"`
  upstream.when(/^(GET|HEAD) \/v2/, ({ request, response, behave }) => {
    if (request.headers.authorization?.startsWith('Bearer ')) behave()
    else response.writeHead(401, { 'www-authenticate': linesOf(bearer) }).end()
  })
  await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0, ...login }))
  await make(stack, '/repositories', { name })
  expect((await sync(stack, name, name)).result).toMatchObject({ version: 1, created: true })
  expect(realm.asked.map(({ scope, given }) => ({ scope, given }))).toContainEqual({
    scope: `repository:${name}:pull`,
    given: true,
  })
  expect(
    upstream.seen.some(({ path, authorization }) => path.startsWith('/v2') && authorization?.startsWith('Basic')),
  ).toBe(false)
  upstream.mend()
})
