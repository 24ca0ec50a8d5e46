import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'

type Key = { kid: string; privateKey: CryptoKey; jwk: JWK }
type Claims = Record<string, unknown>
/** What an issuer does otherwise than it should. */
type Behaviour = {
  document?: Claims
  keys?: RequestListener
  token?: RequestListener
  /** Signs an ID token itself. */
  sign?: (claims: Claims) => Promise<string> | string
  all?: RequestListener
}

/** An issuer of OpenID Connect that says of everybody what a test wants, and can be made to misbehave. */
export type TestIssuer = {
  url: string
  key: Key
  behave(behaviour: Behaviour): void
  /** What the next ID token has beside what it needs; `undefined` takes a claim away. */
  says(claims: Claims): void
  /** A token of this issuer. */
  sign(claims: Claims, key?: Key): Promise<string>
  /** The path and the form of every request. */
  seen: { path: string; form: URLSearchParams; authorization: string | undefined }[]
  /** Lets somebody in: the query with which the provider sends the browser back. */
  authorize(location: string): URLSearchParams
  /** Goes on with another key, which it publishes instead. */
  rotate(): Promise<void>
  stop(): Promise<void>
}

export const clientId = 'berth'
export const clientSecret = 'the secret of Berth there'

export async function newKey(kid: string, alg = 'ES256'): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
}

/** By https where it has a certificate. */
export async function startIssuer(tls?: { cert: string | Buffer; key: string | Buffer }): Promise<TestIssuer> {
  let key = await newKey('one')
  let behaviour: Behaviour = {}
  let claims: Claims = {}
  const codes = new Map<string, { nonce: string; challenge: string }>()
  const seen: TestIssuer['seen'] = []

  const documentOf = () => ({
    issuer: issuer.url,
    authorization_endpoint: `${issuer.url}/authorize`,
    token_endpoint: `${issuer.url}/token`,
    jwks_uri: `${issuer.url}/jwks`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
    code_challenge_methods_supported: ['S256'],
    ...behaviour.document,
  })
  const sendToken = async (form: URLSearchParams, response: ServerResponse) => {
    const begun = codes.get(form.get('code') ?? '')
    const verifier = new TextEncoder().encode(form.get('code_verifier') ?? '')
    const challenge = Buffer.from(await crypto.subtle.digest('SHA-256', verifier)).toString('base64url')
    if (begun?.challenge !== challenge) return sendJson(response, { error: 'invalid_grant' }, 400)
    codes.delete(form.get('code') ?? '')
    const now = Math.floor(Date.now() / 1000)
    const all = { iss: issuer.url, aud: clientId, sub: 'ann-1', iat: now, exp: now + 60, nonce: begun.nonce, ...claims }
    const idToken = await (behaviour.sign ?? ((said) => issuer.sign(said)))(all)
    sendJson(response, { access_token: 'x', token_type: 'Bearer', expires_in: 60, id_token: idToken })
  }
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url ?? ''
    const form = new URLSearchParams(await readAll(request))
    seen.push({ path, form, authorization: request.headers.authorization })
    if (behaviour.all) return behaviour.all(request, response)
    if (path === '/.well-known/openid-configuration') return sendJson(response, documentOf())
    if (path === '/jwks')
      return behaviour.keys ? behaviour.keys(request, response) : sendJson(response, { keys: [key.jwk] })
    if (path === '/token') return behaviour.token ? behaviour.token(request, response) : sendToken(form, response)
    response.writeHead(404).end()
  }
  const listener: RequestListener = (request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error as Error))
  }
  const server = tls ? createTlsServer(tls, listener) : createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  const issuer: TestIssuer = {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get key() {
      return key
    },
    seen,
    behave: (next) => {
      behaviour = next
    },
    says: (next) => {
      claims = next
    },
    sign: (said, by = key) =>
      new SignJWT(said).setProtectedHeader({ alg: by.jwk.alg ?? '', kid: by.kid }).sign(by.privateKey),
    authorize: (location) => {
      const query = new URL(location).searchParams
      const code = crypto.randomUUID()
      codes.set(code, { nonce: query.get('nonce') ?? '', challenge: query.get('code_challenge') ?? '' })
      return new URLSearchParams({ code, state: query.get('state') ?? '' })
    },
    rotate: async () => {
      key = await newKey(crypto.randomUUID())
    },
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return issuer
}

export function sendJson(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
