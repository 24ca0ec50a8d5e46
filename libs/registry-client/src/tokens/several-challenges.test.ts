import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import {
  type Fault,
  type MisbehavingUpstream,
  startMisbehavingUpstream,
  status,
} from '../misbehaving-upstream/index.ts'
import { failure, repository, type Scene, startScene } from '../testing/client.fixture.ts'

let scene: Scene
let foreign: MisbehavingUpstream
beforeEach(async () => {
  scene = await startScene()
  foreign = await startMisbehavingUpstream({ host: 'localhost' })
})
afterEach(async () => {
  await scene.close()
  await foreign.close()
})
const credentials = { username: 'reader', password: 'pl4nted' }
const basic = `Basic ${btoa('reader:pl4nted')}`
const scope = `repository:${repository}:pull`
const scopesAsked = () =>
  scene.upstream.seen
    .filter(({ path }) => path.startsWith('/token'))
    .map(({ path }) => new URL(path, scene.upstream.url).searchParams.get('scope'))

/** Takes a token or the login, and says so in the lines of the header that are given. */
function takesEither(linesOf: (bearer: string) => string | string[], bearerRealm = `${scene.upstream.url}/token`) {
  scene.upstream.when(/./, ({ request, response, behave }) => {
    const { authorization = '' } = request.headers
    if (['Bearer token-1', basic].includes(authorization)) return behave()
    response.writeHead(401, { 'www-authenticate': linesOf(`Bearer realm="${bearerRealm}",service="s"`) }).end()
  })
  scene.upstream.when(/\/token/, ({ response }) => void response.writeHead(200).end('{"token":"token-1"}'))
}
/** What it was let in with. */
async function letIn(more: Parameters<Scene['client']>[0] = {}): Promise<string | undefined> {
  expect(await scene.client(more).resolve(repository, 'latest')).toBe(scene.image.manifest.digest)
  return scene.upstream.seen.at(-1)?.authorization
}

describe.each([
  ['in bulk', false],
  ['rarely', true],
])('a registry that is asked %s', (_title, isRare) => {
  test.each<[string, (bearer: string) => string | string[]]>([
    ['Basic, then Bearer', (bearer) => `Basic realm="r", ${bearer}`],
    ['Bearer, then Basic', (bearer) => `${bearer}, Basic realm="r"`],
    ['Basic and Bearer in two lines', (bearer) => ['Basic realm="r"', bearer]],
    ['Bearer and Basic in two lines', (bearer) => [bearer, 'Basic realm="r"']],
    ['NTLM and Negotiate before Bearer', (bearer) => ['NTLM', 'Negotiate YII==', bearer]],
    ['Digest and Bearer in one line', (bearer) => `Digest realm="a, b", nonce="c=", ${bearer}`],
  ])('is answered by a token where it offers %s', async (_title, linesOf) => {
    takesEither(linesOf)
    expect(await letIn({ isRare })).toBe('Bearer token-1')
    expect(await letIn({ isRare, credentials })).toBe('Bearer token-1')
    expect(scopesAsked()).toEqual([scope, scope])
  })

  test.each<[string, string | string[]]>([
    ['Negotiate in another line', ['Negotiate', 'Basic realm="r"']],
    ['NTLM in the same line', 'NTLM, Basic realm="r"'],
    ['a Bearer that names no issuer', ['Bearer', 'Basic realm="r"']],
  ])('is answered by the login where Basic comes with %s', async (_title, lines) => {
    takesEither(() => lines)
    expect(await letIn({ isRare, credentials })).toBe(basic)
    expect(await failure(scene.client({ isRare }).resolve(repository, 'latest'))).toMatchObject({
      code: 'unauthorized',
      message: expect.stringContaining('wants a login'),
    })
  })
})

test('an issuer that may not get the login is passed over where Basic will do', async () => {
  takesEither((bearer) => [bearer, 'Basic realm="r"'], `${foreign.url}/token`)
  expect(await letIn({ credentials })).toBe(basic)
  expect(foreign.seen).toEqual([])
})

describe('the login itself is sent where Basic is offered', () => {
  test.each<[string, Fault]>([
    ['is not there', status(404)],
    ['gives a page', status(200, {}, '<html>')],
    ['gives no token', status(200, {}, '{}')],
  ])('and the issuer of tokens %s', async (_title, fault) => {
    takesEither((bearer) => [bearer, 'Basic realm="r"'])
    scene.upstream.when(/\/token/, fault)
    const client = scene.client({ credentials })
    for (let i = 0; i < 2; i++) expect(await client.resolve(repository, 'latest')).toBeDefined()
    expect(scene.upstream.seen.at(-1)?.authorization).toBe(basic)
    // By then it is known.
    expect(scene.upstream.seen.filter(({ path }) => path.startsWith('/v2'))).toHaveLength(3)
  })

  test.each([
    ['beside Bearer', (bearer: string) => [bearer, 'Basic realm="r"']],
    ['alone', () => 'Basic realm="r"'],
  ])('and a token is refused though it is new, %s', async (_title, linesOf) => {
    takesEither((bearer) => bearer)
    scene.upstream.when(/manifests/, ({ request, response, behave }) => {
      if (!request.headers.authorization?.startsWith('Bearer ')) return behave()
      const lines = linesOf(`Bearer realm="${scene.upstream.url}/token"`)
      response.writeHead(401, { 'www-authenticate': lines }).end()
    })
    expect(await letIn({ credentials })).toBe(basic)
    expect(await failure(scene.client().resolve(repository, 'latest'))).toMatchObject({
      code: 'unauthorized',
      status: 401,
    })
  })

  test('but not again where it was refused, nor to the registry where its issuer refused it', async () => {
    takesEither((bearer) => [bearer, 'Basic realm="r"'])
    const wrong = { username: 'reader', password: 'wrong' }
    const logins = () => scene.upstream.seen.filter(({ authorization }) => authorization?.startsWith('Basic '))
    scene.upstream.when(/\/token/, status(401))
    const client = scene.client({ credentials: wrong, retries: 5 })
    expect(await failure(client.resolve(repository, 'latest'))).toMatchObject({ code: 'unauthorized' })
    expect(logins().map(({ path }) => path.split('?')[0])).toEqual(['/token'])
    scene.upstream.when(/\/token/, status(404))
    expect(await failure(client.resolve(repository, 'latest'))).toMatchObject({ code: 'unauthorized', status: 401 })
    expect(logins()).toHaveLength(3)
  })
})

test('challenges that cannot be met are told by their names', async () => {
  takesEither(() => ['Negotiate', 'NTLM'])
  expect((await failure(scene.client({ credentials }).ping())).message).toMatch(/"negotiate", "ntlm".*Bearer and Basic/)
  takesEither(() => ['Negotiate', 'Basic realm="r"'])
  const error = await failure(scene.client({ credentials: { refreshToken: 'pl4nted' } }).ping())
  expect(error).toMatchObject({
    code: 'unauthorized',
    message: expect.stringContaining('instead of an identity token'),
  })
})

test('a registry that wants tokens for some and Basic for the rest gets for each what it took before', async () => {
  scene.upstream.add('team/app', 'latest', scene.image)
  takesEither((bearer) => bearer)
  scene.upstream.when(/team\/app/, ({ request, response, behave }) => {
    if (request.headers.authorization === basic) behave()
    else response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end()
  })
  const client = scene.client({ credentials })
  for (const name of [repository, 'team/app']) await client.resolve(name, 'latest')
  const before = scene.upstream.seen.length
  for (const name of [repository, 'team/app']) expect(await client.resolve(name, 'latest')).toBeDefined()
  expect(scene.upstream.seen.slice(before).map(({ authorization }) => authorization)).toEqual(['Bearer token-1', basic])
})

test.each(['scope=""', 'scope=" "', 'scope=', 'service=""'])(
  'a challenge with %s is answered by a token for what is asked for',
  async (empty) => {
    takesEither((bearer) => `${bearer},${empty}`)
    expect(await letIn()).toBe('Bearer token-1')
    expect(scopesAsked()).toEqual([scope])
  },
)
