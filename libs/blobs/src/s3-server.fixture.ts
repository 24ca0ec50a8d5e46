import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { createS3Store } from './s3/store.ts'
import type { BlobStore } from './store/store.ts'

export type Handler = (request: http.IncomingMessage, response: http.ServerResponse, body: Buffer) => void

const closers: (() => Promise<void>)[] = []

/** Ends the servers and stores of a test. */
export async function closeAll(): Promise<void> {
  for (const close of closers.splice(0)) await close()
}

/** A server that answers as the test says; with `tls`, over that. */
export async function serve(
  handler: Handler,
  tls?: https.ServerOptions,
): Promise<{ endpoint: string; server: http.Server }> {
  const listener: http.RequestListener = (request, response) => {
    Array.fromAsync(request as AsyncIterable<Buffer>)
      .then((chunks) => handler(request, response, Buffer.concat(chunks)))
      .catch(() => response.destroy())
  }
  const server = tls ? https.createServer(tls, listener) : http.createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  closers.push(async () => {
    server.closeAllConnections()
    server.close()
  })
  return { endpoint: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`, server }
}

/** A store that talks to a server. */
export function storeAt(endpoint: string, how: { retries?: number; idleTimeoutMs?: number } = {}): BlobStore {
  const store = createS3Store({ endpoint, bucket: 'blobs', accessKey: 'key', secretKey: 'secret-key', ...how })
  closers.unshift(() => store.close())
  return store
}

/** A store that talks to a server that answers as the test says. */
export async function storeOn(
  handler: Handler,
  how: { retries?: number; idleTimeoutMs?: number } = {},
): Promise<BlobStore> {
  return storeAt((await serve(handler)).endpoint, how)
}

export function head(response: http.ServerResponse, sizeBytes: number): void {
  const modified = new Date().toUTCString()
  response.writeHead(200, { 'content-length': sizeBytes, 'last-modified': modified, etag: '"e"' }).end()
}

export function xmlError(response: http.ServerResponse, status: number, code: string): void {
  response.writeHead(status).end(`<Error><Code>${code}</Code><Message>as told</Message></Error>`)
}

/** Answers a ranged GET, at most so many bytes of it, and then cuts the connection. */
export function sendRange(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  bytes: Buffer,
  atMost = bytes.length,
): void {
  const [, first, last] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []
  const wanted = bytes.subarray(Number(first), Number(last) + 1)
  response.writeHead(206, {
    'content-length': wanted.length,
    'content-range': `bytes ${first}-${Number(first) + wanted.length - 1}/${bytes.length}`,
  })
  response.write(wanted.subarray(0, atMost), () => {
    if (atMost < wanted.length) response.destroy()
    else response.end()
  })
}
