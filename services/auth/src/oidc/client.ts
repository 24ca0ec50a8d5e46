import { UpstreamError } from '@berth/registry-client'
import { Problem, type Sealer } from '@berth/service'
import { decodeProtectedHeader } from 'jose'
import * as openid from 'openid-client'
import { openSecret, type Provider } from '../identity-providers/provider.ts'
import { type Issuers, issuerProblem } from '../issuers/issuers.ts'
import type { LoginState } from './login-state.ts'

const tokenSeconds = 10

/** What a provider says of somebody who has logged in there. */
export type IdClaims = { sub: string } & Record<string, unknown>

export type OidcClient = {
  /** Where the browser goes to log in. Throws 502 or 503. */
  loginUrl(provider: Provider, state: LoginState): Promise<URL>
  /** Exchanges the code with which it came back, and checks the ID token. Throws 403, 502 or 503. */
  finish(provider: Provider, state: LoginState, query: URLSearchParams): Promise<IdClaims>
}

/** Logs people in by OpenID Connect: the authorization code flow with PKCE, `state` and `nonce`. */
export function createOidcClient(issuers: Issuers, sealer: Sealer): OidcClient {
  const readSecret = (provider: Provider) => {
    try {
      return openSecret(provider, sealer)
    } catch {
      // What the sealer says is no more than that, and is told here with the remedy.
      throw wrongAnswer(provider, 'its clientSecret cannot be opened with this BERTH_SECRETS_KEY; send it again')
    }
  }
  const configure = async (provider: Provider) => {
    const server = (await issuers.discover(provider)) as openid.ServerMetadata
    for (const endpoint of ['authorization_endpoint', 'token_endpoint'] as const)
      if (!isWebAddress(server[endpoint])) throw wrongAnswer(provider, `its discovery document names no ${endpoint}`)
    const secret = readSecret(provider)
    const configuration = new openid.Configuration(server, provider.clientId, {}, authenticationOf(server, secret))
    configuration.timeout = tokenSeconds
    // In the code flow the library trusts TLS instead of the signature, unless it is told to check that.
    openid.enableNonRepudiationChecks(configuration)
    if (provider.allowHttp) openid.allowInsecureRequests(configuration)
    const fetch = issuers.fetchOf(provider)
    const answered: { token?: unknown } = {}
    configuration[openid.customFetch] = async (url, sent) => {
      // As all of ours, so that one that is away for a moment, or has a new key, keeps nobody out.
      if (url === server.jwks_uri) return Response.json(await issuers.keys(provider, kidIn(answered.token)))
      const answer = await fetch(url, sent)
      if (url === server.token_endpoint && answer.ok)
        // What is no JSON is refused by the library, with its own words.
        answered.token = await answer
          .clone()
          .json()
          .catch(() => null)
      return answer
    }
    return { configuration, answered }
  }
  return {
    loginUrl: async (provider, { redirectUri, state, nonce, verifier }) =>
      openid.buildAuthorizationUrl((await configure(provider)).configuration, {
        redirect_uri: redirectUri,
        scope: [...new Set(['openid', ...provider.scopes])].join(' '),
        state,
        nonce,
        code_challenge: await openid.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      }),
    finish: async (provider, { redirectUri, state, nonce, verifier }, query) => {
      const { configuration, answered } = await configure(provider)
      const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier, idTokenExpected: true }
      try {
        const answer = await openid.authorizationCodeGrant(configuration, new URL(`${redirectUri}?${query}`), checks)
        return answer.claims() as IdClaims
      } catch (error) {
        throw loginProblem(provider, error, answered.token !== undefined)
      }
    },
  }
}

// The browser is sent there.
function isWebAddress(text: unknown): boolean {
  const url = typeof text === 'string' ? URL.parse(text) : null
  return url?.protocol === 'https:' || url?.protocol === 'http:'
}

/** The key that signed the ID token of an answer, which is checked later; `undefined` where it names none. */
function kidIn(answer: unknown): string | undefined {
  const { id_token: token } = (answer ?? {}) as { id_token?: unknown }
  try {
    return typeof token === 'string' ? decodeProtectedHeader(token).kid : undefined
  } catch {
    // What is no token is told by the check.
    return undefined
  }
}

function authenticationOf(server: openid.ServerMetadata, secret: string | undefined): openid.ClientAuth {
  if (secret === undefined) return openid.None()
  const methods = server.token_endpoint_auth_methods_supported
  // What an issuer has that says nothing (OpenID Connect Discovery 1.0 §3).
  const isBasic = !Array.isArray(methods) || methods.includes('client_secret_basic')
  return isBasic ? openid.ClientSecretBasic(secret) : openid.ClientSecretPost(secret)
}

/**
 * The problem of a login that failed: its own (403) while the provider has vouched for nobody, so that whoever makes up a code makes no trouble
 * for an operator; else the provider's. What a token says of a person is not repeated.
 */
function loginProblem(provider: Provider, error: unknown, hasVouched: boolean): Problem {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof Problem) return cause
    if (cause instanceof UpstreamError) return issuerProblem(provider.issuer, cause)
    if (cause.name === 'TimeoutError') return issuerProblem(provider.issuer, timeout(provider, cause))
  }
  if (error instanceof openid.AuthorizationResponseError) return refused(provider, known(error.error))
  if (error instanceof openid.ResponseBodyError) {
    if (error.error === 'invalid_grant') return refused(provider, error.error)
    return wrongAnswer(provider, `it refused the code: ${known(error.error)}`)
  }
  const why = reasonIn(error)
  return hasVouched ? wrongAnswer(provider, why) : refused(provider, why)
}

/** What the library says: the innermost sentence is the one that tells. */
function reasonIn(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return inner instanceof Error ? inner.message : 'it answered nonsense'
}

function refused({ name }: Provider, why: string): Problem {
  return new Problem(403, 'login_refused', `"${name}" let nobody in: ${why}.`, {
    hint: 'Begin again; if it stays so, ask who looks after the provider.',
  })
}

function timeout({ issuer }: Provider, cause: Error): UpstreamError {
  const { host } = new URL(issuer)
  return new UpstreamError('timeout', `${host} did not answer in time`, { host, cause })
}

/** An error code of OAuth, which comes from outside. */
function known(code: string): string {
  return /^[a-z_]{1,50}$/.test(code) ? code : 'an error without a known name'
}

function wrongAnswer({ name }: Provider, why: string): Problem {
  return new Problem(502, 'provider_wrong', `The identity provider "${name}" cannot be used: ${why}.`, {
    hint: 'Its clientId, clientSecret, issuer and redirect URI have to be those that are registered there.',
  })
}
