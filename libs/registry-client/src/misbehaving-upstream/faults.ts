import type { IncomingMessage, ServerResponse } from 'node:http'

/** What the upstream would answer if it behaved. */
export type Answer = { status: number; headers: Record<string, string>; body: Buffer }
/** Answers a request in another way, or hands on to the rules made before and at last the good answer. */
export type Fault = (exchange: {
  request: IncomingMessage
  response: ServerResponse
  answer: Answer
  behave: () => void
}) => void

/** Answers with a status and nothing else of use. */
export function status(code: number, headers: Record<string, string> = {}, body = '{}'): Fault {
  return ({ response }) => void response.writeHead(code, headers).end(body)
}

/** The right length, one bit changed. */
export const wrongBytes: Fault = ({ response, answer }) => {
  const body = Buffer.from(answer.body)
  body[body.length - 1] = (body.at(-1) ?? 0) ^ 1
  response.writeHead(answer.status, answer.headers).end(body)
}

/** Half of the bytes as a whole answer: the length says so too. */
export const short: Fault = ({ response, answer }) => {
  const body = answer.body.subarray(0, answer.body.length >> 1)
  response.writeHead(answer.status, { ...answer.headers, 'content-length': String(body.length) }).end(body)
}

/** Ends the connection after so many bytes of the body. */
export function cut(afterBytes: number): Fault {
  return ({ response, answer }) => {
    response.writeHead(answer.status, answer.headers)
    response.write(answer.body.subarray(0, afterBytes), () => response.socket?.destroy())
  }
}

/** Never answers. */
export const hang: Fault = () => {}

/** Begins to answer, and stops after so many bytes without an end. */
export function hangAfter(bytes: number): Fault {
  return ({ response, answer }) => {
    response.writeHead(answer.status, answer.headers)
    response.write(answer.body.subarray(0, bytes))
  }
}

/** Ends the connection without an answer. */
export const gone: Fault = ({ request }) => void request.socket.destroy()

export function redirectTo(url: (path: string) => string, code = 307): Fault {
  return ({ request, response }) =>
    void response.writeHead(code, { location: url(request.url ?? '/'), 'content-length': '0' }).end()
}

/** An answer of so many bytes, sent for as long as the other side takes them. */
export function oversized(totalBytes: number): Fault {
  return ({ response }) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    const chunk = Buffer.alloc(64 << 10, ' ')
    let left = totalBytes
    const write = () => {
      while (left > 0 && !response.destroyed) {
        left -= chunk.length
        if (!response.write(chunk)) {
          response.once('drain', write)
          return
        }
      }
      response.end()
    }
    write()
  }
}
