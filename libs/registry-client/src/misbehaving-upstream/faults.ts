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

/** Sends the request elsewhere. */
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

/** As an upstream that knows no HEAD: some answer 405, some 404, some like a GET without its headers. */
export const noHead: Fault = ({ request, response, behave }) => {
  if (request.method === 'HEAD') response.writeHead(405).end()
  else behave()
}

/** Leaves out headers of the good answer. */
export function without(...names: string[]): Fault {
  return ({ request, response, answer }) => {
    const headers = Object.entries(answer.headers).filter(([name]) => !names.includes(name))
    // Without a length node would send the body in chunks, and so does this.
    response.writeHead(answer.status, Object.fromEntries(headers))
    response.end(request.method === 'HEAD' ? undefined : answer.body)
  }
}

/** The good answer, so many bytes at a time with a pause before each. */
export function slowly(bytes: number, everyMs: number): Fault {
  return ({ response, answer }) => {
    response.writeHead(answer.status, answer.headers)
    let sent = 0
    const send = () => {
      response.write(answer.body.subarray(sent, sent + bytes))
      sent += bytes
      if (sent >= answer.body.length) response.end()
      else if (!response.destroyed) setTimeout(send, everyMs)
    }
    setTimeout(send, everyMs)
  }
}

/** Behaves, and does something right after: moves a tag, for one. */
export function afterwards(change: () => void): Fault {
  return ({ response, behave }) => {
    response.once('finish', change)
    behave()
  }
}

/** The good answer under another Content-Type. */
export function typed(contentType: string): Fault {
  return ({ request, response, answer }) => {
    response.writeHead(answer.status, { ...answer.headers, 'content-type': contentType })
    response.end(request.method === 'HEAD' ? undefined : answer.body)
  }
}
