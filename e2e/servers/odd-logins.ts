import { type OddUpstream, ordinary } from './odd-upstream.ts'

const login = { username: 'reader', password: 'a password of readers' }
const loggedIn = `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`

/** A registry that takes tokens, or the login itself, and challenges in these lines; for one repository of it. */
function loginIn(takes: 'Bearer' | 'Basic', linesOf: (bearer: string) => string[], whenRefused = linesOf) {
  return ordinary(
    (upstream, repository) => {
      const issuer = `/issuer-of/${repository}`
      const bearer = `Bearer realm="${upstream.url}${issuer}",service="upstream",scope=""`
      upstream.when(new RegExp(`^(GET|HEAD) /v2/${repository}/`), ({ request, response, behave }) => {
        const { authorization } = request.headers
        if (authorization === (takes === 'Basic' ? loggedIn : `Bearer ${repository}`)) return behave()
        const lines = authorization?.startsWith('Bearer ') ? whenRefused(bearer) : linesOf(bearer)
        response.writeHead(401, { 'www-authenticate': lines }).end()
      })
      // One token for all of a repository, where it was asked for with the login and a scope.
      upstream.when(new RegExp(`^GET ${issuer}`), ({ request, response }) => {
        const isRight = request.headers.authorization === loggedIn && request.url?.includes(`scope=repository`)
        response.writeHead(isRight ? 200 : 401).end(JSON.stringify({ token: repository }))
      })
    },
    {},
    login,
  )
}

/** Registries whose challenges are odd. */
export const oddLogins: readonly OddUpstream[] = [
  {
    name: 'Negotiate and Basic are offered in two headers',
    report: 'https://github.com/google/go-containerregistry/pull/1075',
    put: loginIn('Basic', () => ['Negotiate', 'Basic realm="a, b"']),
  },
  {
    name: 'NTLM and Negotiate stand before a login in capitals, in one header',
    report: 'https://github.com/GoogleContainerTools/jib/issues/4187',
    put: loginIn('Basic', () => ['NTLM, Negotiate, BASIC realm="Repository Manager"']),
  },
  {
    name: 'Basic is offered before Bearer, which alone opens',
    report: 'https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1',
    put: loginIn('Bearer', (bearer) => [`Basic realm="upstream", ${bearer}, Negotiate YII==`]),
  },
  {
    name: 'a new token is refused, by a challenge for Basic',
    report: 'https://github.com/google/go-containerregistry/pull/1747',
    put: loginIn(
      'Basic',
      (bearer) => [bearer],
      () => ['Basic realm="upstream"'],
    ),
  },
  {
    name: 'the issuer of tokens that is named beside Basic is not there',
    report: 'https://github.com/siderolabs/image-factory/pull/573',
    put: (upstream, repository) =>
      loginIn('Basic', () => [`Bearer realm="${upstream.url}/nowhere"`, 'Basic realm="upstream"'])(
        upstream,
        repository,
      ),
  },
]
