import { createHmac } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { until } from '../berth/processes.ts'

// oxlint-disable-next-line typescript/no-explicit-any -- what is in an event its test knows
type Body = any
export type Received = { path: string; headers: IncomingHttpHeaders; text: string; body: Body }
export type Receiver = {
  url: string
  received: Received[]
  /** What it does with requests to a path from now on; without an answer it says 204. */
  when(path: string, answer: (response: ServerResponse, received: Received) => void): void
  untilReceived(path: string, matches?: (body: Body) => boolean): Promise<Received>
  of(path: string): Received[]
  stop(): Promise<void>
}

/** A server of somebody else that events are sent to, and that may do what it likes with them. */
export async function startReceiver(): Promise<Receiver> {
  const received: Received[] = []
  const answers = new Map<string, (response: ServerResponse, received: Received) => void>()
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString()
      const path = request.url ?? ''
      const one = { path, headers: request.headers, text, body: JSON.parse(text) }
      received.push(one)
      const answer = answers.get(path)
      if (answer) answer(response, one)
      else response.writeHead(204).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const of = (path: string) => received.filter((one) => one.path === path)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    of,
    when: (path, answer) => void answers.set(path, answer),
    untilReceived: (path, matches = () => true) =>
      until(`something comes to ${path}`, async () => of(path).find(({ body }) => matches(body))),
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** How many of the signatures of a message a secret has made (Standard Webhooks, "Verifying"). */
export function signaturesBy(secret: string, { headers, text }: Received): number {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
  const signed = [headers['webhook-id'], headers['webhook-timestamp'], text].join('.')
  const wanted = `v1,${createHmac('sha256', key).update(signed).digest('base64')}`
  return String(headers['webhook-signature'])
    .split(' ')
    .filter((one) => one === wanted).length
}
