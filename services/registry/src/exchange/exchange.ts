import type { IncomingMessage, ServerResponse } from 'node:http'
import { OciError } from '@berth/oci'
import { inertHeaders } from '@berth/service'
import type { Caller } from '../access/authorize.ts'
import type { Pointer } from '../model/pointer.ts'
import type { PullThrough } from '../model/pull-through.ts'

/** One request on its way through the gateway. `signal` aborts when the client leaves. */
export type Exchange = {
  request: IncomingMessage
  response: ServerResponse
  query: URLSearchParams
  requestId: string
  signal: AbortSignal
  caller: Caller
}

/**
 * An exchange about a name that the caller may do this with. `served` reads, once, what is served there, if anything is; it
 * throws when the name cannot be used so now. Work that does not need it, such as taking bytes in, goes on beside it.
 */
export type NamedExchange = Exchange & {
  basePath: string
  served: () => Promise<Pointer | undefined>
  /**
   * As `served`, or as it was a second ago at most: for the blobs of a push, which come by the dozen. What their manifest is put into is
   * read then.
   */
  servedLately: () => Promise<Pointer | undefined>
  /** The pull-through distribution that content comes from where nothing is served under the name yet. */
  pullThrough: () => Promise<PullThrough | undefined>
}

/** What is served under the name of an exchange. Throws NAME_UNKNOWN when nothing is. */
export async function requireServed(exchange: NamedExchange): Promise<Pointer> {
  const pointer = await exchange.served()
  if (!pointer) throw unknownName(exchange)
  return pointer
}

/** What a name is answered with that nothing is served under. */
export function unknownName({ basePath }: NamedExchange): OciError {
  return new OciError('NAME_UNKNOWN', `there is no repository ${basePath}, or you may not see it`)
}

/** Headers of every answer under `/v2` (docs/protocol.md#headers). */
export const commonHeaders = { 'docker-distribution-api-version': 'registry/2.0', ...inertHeaders }

/** Answers with a body that is at hand; to HEAD with its headers alone. */
export function sendBytes(
  { request, response }: Pick<Exchange, 'request' | 'response'>,
  status: number,
  headers: Record<string, string | number>,
  body: Uint8Array,
): void {
  response.writeHead(status, { ...commonHeaders, ...headers, 'content-length': body.length })
  if (request.method === 'HEAD') response.end()
  // As a string node sends it together with the head, in one write; latin1 keeps every byte as it is.
  else if (body.length <= oneWriteBytes) response.end(latin1Of(body), 'latin1')
  else response.end(body)
}

const oneWriteBytes = 16 << 10

function latin1Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** Answers with JSON. The type has no charset: clients compare it letter by letter. */
export function sendJson(
  exchange: Pick<Exchange, 'request' | 'response'>,
  status: number,
  value: unknown,
  headers: Record<string, string | number> = {},
): void {
  sendBytes(exchange, status, { 'content-type': 'application/json', ...headers }, Buffer.from(JSON.stringify(value)))
}

/** Answers without a body. */
export function sendEmpty(
  { response }: Pick<Exchange, 'response'>,
  status: number,
  headers: Record<string, string | number> = {},
): void {
  const length = status === 204 || status === 304 ? {} : { 'content-length': 0 }
  response.writeHead(status, { ...commonHeaders, ...headers, ...length }).end()
}
