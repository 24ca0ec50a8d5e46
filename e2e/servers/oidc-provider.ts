import { createServer } from 'node:http'
import { closeServer } from '@berth/service'
import { freePort } from '@berth/standalone/children'
import { Provider } from 'oidc-provider'

// As docs/how-to/oidc.md has it.
const oidcClient = { clientId: 'berth', clientSecret: 'the secret that Berth has at the provider' }

/** A provider of OpenID Connect as companies run one; whatever name and password somebody gives is right there. */
export type OidcProvider = {
  issuer: string
  /** What the tokens of a person say of its groups. */
  groups: Map<string, string[]>
  stop(): Promise<void>
}

/** Starts a provider at which Berth is registered with its redirect URI. */
export async function startOidcProvider(redirectUri: string): Promise<OidcProvider> {
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const groups = new Map<string, string[]>()
  quiet()
  const provider = new Provider(issuer, {
    clients: [{ client_id: oidcClient.clientId, client_secret: oidcClient.clientSecret, redirect_uris: [redirectUri] }],
    claims: { openid: ['sub'], profile: ['preferred_username'], groups: ['groups'] },
    // Groups and names stand in the ID token itself, as those of Keycloak and Entra do.
    conformIdTokenClaims: false,
    cookies: { keys: ['some key'] },
    pkce: { required: () => true },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, preferred_username: id, groups: groups.get(id) ?? [] }),
    }),
  })
  const answer = provider.callback()
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error as Error))
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return { issuer, groups, stop: () => closeServer(server, 0) }
}

/** It says at length, and by the console alone, that it is set up for no company. */
function quiet(): void {
  for (const level of ['info', 'warn'] as const) {
    const say = console[level]
    console[level] = (...said: unknown[]) => {
      if (!String(said[0]).startsWith('oidc-provider ')) say(...said)
    }
  }
}
