import { once } from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Blob, Image, Manifest } from './content.ts'
import type { Answer, Fault } from './faults.ts'
import { createContent } from './registry.ts'

type Seen = {
  method: string
  path: string
  authorization: string | undefined
  range: string | undefined
  headers: IncomingHttpHeaders
  /** The name in the certificate that the client showed. */
  clientName: string | undefined
}

/** A registry over real HTTP that behaves, except where a test said otherwise. */
export type MisbehavingUpstream = {
  readonly url: string
  readonly host: string
  /** Every request so far. */
  readonly seen: Seen[]
  /** Puts an image in under a tag, or under many. */
  add(repository: string, tag: string | readonly string[], image: Image): void
  /** Has a manifest of any kind; without a tag it is found by its digest alone. */
  addManifest(repository: string, manifest: Manifest, tag?: string): void
  /** Has blobs that no image brought. */
  addBlobs(repository: string, ...blobs: Blob[]): void
  /**
   * Requests whose `METHOD /path` fits get the fault: the first `times` of them, or all. The rule made last goes first, and may
   * hand on to those before.
   */
  when(fits: RegExp, fault: Fault, times?: number): void
  /** Behaves from now on. */
  mend(): void
  close(): Promise<void>
}

type Rule = { fits: RegExp; fault: Fault; left: number }

/** Starts one. Without `referrersApi` it is a registry from before that API; with `tls` it asks clients for a certificate. */
export async function startMisbehavingUpstream(
  options: { host?: string; referrersApi?: boolean; tls?: { cert: Buffer; key: Buffer } } = {},
): Promise<MisbehavingUpstream> {
  const content = createContent({ referrersApi: options.referrersApi ?? true })
  const seen: Seen[] = []
  let rules: Rule[] = []
  const listener: RequestListener = (request, response) => {
    const { method = '', url: path = '' } = request
    const { authorization, range } = request.headers
    seen.push({ method, path, authorization, range, headers: request.headers, clientName: clientNameOf(request) })
    const answer = content.answer(path, request)
    const current = [...rules]
    const pass = (from: number) => {
      const at = current.findIndex(({ fits, left }, i) => i >= from && left > 0 && fits.test(`${method} ${path}`))
      const rule = current[at]
      if (!rule) return send(request, response, answer)
      rule.left--
      rule.fault({ request, response, answer, behave: () => pass(at + 1) })
    }
    pass(0)
  }
  const { tls } = options
  const server = tls
    ? createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: false }, listener)
    : createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `${options.host ?? '127.0.0.1'}:${(server.address() as AddressInfo).port}`
  return {
    url: `${tls ? 'https' : 'http'}://${host}`,
    host,
    seen,
    add: content.add,
    addManifest: content.addManifest,
    addBlobs: content.addBlobs,
    when: (fits, fault, times = Number.POSITIVE_INFINITY) => void rules.unshift({ fits, fault, left: times }),
    mend: () => {
      rules = []
    },
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function clientNameOf({ socket }: IncomingMessage): string | undefined {
  return socket instanceof TLSSocket ? String(socket.getPeerCertificate().subject?.CN ?? '') || undefined : undefined
}

function send(request: IncomingMessage, response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body)
}
