import { inspect } from 'node:util'
import type { History } from './history.ts'

/** An answer, or `undefined` where a kill cut the connection. */
type Reply = { status: number; headers: Headers; bytes: Buffer } | undefined

export type NemesisClient = {
  /** `isSure`: nothing speaks against it, so an answer that refuses it is noted. */
  send(method: string, path: string, more?: { body?: string | Buffer; type?: string; isSure?: boolean }): Promise<Reply>
  /** The API, in JSON. */
  // oxlint-disable-next-line typescript/no-explicit-any -- answers of the API, looked into by the actors
  api(method: string, path: string, body?: unknown): Promise<{ status: number; body: any } | undefined>
}

const patienceMs = 60_000
const accept = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')

/** A client that notes each answer which must never be given. */
export function createNemesisClient(
  history: History,
  target: () => { url: string; authorization: string },
): NemesisClient {
  const send: NemesisClient['send'] = async (method, path, { body, type, isSure = false } = {}) => {
    const { url, authorization } = target()
    const headers = { authorization, accept, ...(type ? { 'content-type': type } : {}) }
    const startedAt = Date.now()
    try {
      const answer = await fetch(new URL(path, url), {
        method,
        headers,
        signal: AbortSignal.timeout(patienceMs),
        ...(body === undefined ? {} : { body: new Uint8Array(Buffer.from(body)) }),
      })
      const bytes = Buffer.from(await answer.arrayBuffer())
      const said = `${method} ${path}: ${answer.status} ${bytes.subarray(0, 300).toString()}`
      if (answer.status >= 500 && answer.status !== 503) history.violate(said)
      if (isSure && answer.status >= 400 && answer.status < 500)
        history.violate(`refused what nothing speaks against: ${said}`)
      if (answer.status === 503 && !history.wasDisturbedSince(startedAt)) history.violate(`nothing was away: ${said}`)
      return { status: answer.status, headers: answer.headers, bytes }
    } catch (error) {
      const reason = inspect(error, { depth: 3 }).slice(0, 500)
      if (!history.wasDisturbedSince(startedAt)) history.violate(`nothing was away: ${method} ${path}: ${reason}`)
      history.count('cut')
      return undefined
    }
  }
  return {
    send,
    api: async (method, path, body) => {
      const isSure = method === 'POST'
      const more = body === undefined ? {} : { body: JSON.stringify(body), type: 'application/json' }
      const reply = await send(method, `/api/v1${path}`, { ...more, isSure })
      return reply && { status: reply.status, body: reply.bytes.length > 0 ? JSON.parse(reply.bytes.toString()) : null }
    },
  }
}
