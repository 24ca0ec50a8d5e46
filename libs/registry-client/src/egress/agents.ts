import { getCACertificates } from 'node:tls'
import { Agent, type Dispatcher, Pool, ProxyAgent } from 'undici'
import type { AddressRule } from './address-rules.ts'
import { basic } from './credentials.ts'

export type TlsOptions = {
  ca?: string | undefined
  cert?: string | undefined
  key?: string | undefined
  verify?: boolean | undefined
}
export type Timeouts = { connectMs: number; headersMs: number; idleMs: number }
/** A proxy that requests go through, and the login at it. */
export type ProxyOptions = { url: URL; login?: { username: string; password: string } | undefined }
export type AgentOptions = {
  tls: TlsOptions
  timeouts: Timeouts
  connections: number
  proxy: ProxyOptions | undefined
  /** What may be connected to. */
  addressRule: AddressRule
}

export type Agents = {
  /** For the registry itself: shows the client certificate, and trusts the authority that was given and no other. */
  origin(): Dispatcher
  /** For whatever it points to: shows nothing, and trusts the usual authorities too. */
  elsewhere(): Dispatcher
  isClosed(): boolean
  close(): Promise<void>
}

/** Makes the two kinds of connections of one client, each when it is needed. */
export function createAgents(options: AgentOptions): Agents {
  const { tls } = options
  const made: Dispatcher[] = []
  let closed = false
  const once = (more: () => object) => {
    let agent: Dispatcher | undefined
    return () => {
      if (closed) throw new Error('this client was closed')
      if (!agent) {
        agent = makeAgent(options, { rejectUnauthorized: tls.verify ?? true, ...more() })
        made.push(agent)
      }
      return agent
    }
  }
  return {
    origin: once(() => ({
      ...(tls.ca ? { ca: tls.ca } : {}),
      ...(tls.cert ? { cert: tls.cert } : {}),
      ...(tls.key ? { key: tls.key } : {}),
    })),
    elsewhere: once(() => (tls.ca ? { ca: [...getCACertificates('default'), tls.ca] } : {})),
    isClosed: () => closed,
    close: async () => {
      closed = true
      await Promise.all(made.map((agent) => agent.destroy()))
    },
  }
}

function makeAgent({ timeouts, connections, proxy, addressRule }: AgentOptions, tls: object): Dispatcher {
  const timeout = { timeout: timeouts.connectMs }
  const { lookup } = addressRule
  const limits = { connections, keepAliveTimeout: 30_000 }
  if (!proxy) return new Agent({ ...limits, connect: { ...timeout, lookup, ...tls } })
  // Names are looked up by the proxy then: what we can check is the proxy's own address (docs/decisions/0017).
  return new ProxyAgent({
    ...limits,
    uri: proxy.url.href,
    ...(proxy.login ? { token: basic(proxy.login) } : {}),
    proxyTls: { ...timeout, lookup },
    requestTls: { ...timeout, ...tls },
    // A proxy that takes a connection and then says nothing is no reason to wait for ever.
    clientFactory: (origin, more) => new Pool(origin, { ...more, headersTimeout: timeouts.headersMs }),
  })
}
