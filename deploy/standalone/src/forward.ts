import { Agent, request as httpRequest, type IncomingMessage, type RequestListener } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { inertHeaders, Problem, problemBody, problemMediaType, usualClientLimits, usualPatience } from '@berth/service'

/** What those before us have said, and the address that we see: what is believed of it is the service's to say. */
function forwardedFor(request: IncomingMessage): string {
  const said = request.headers['x-forwarded-for']
  return [said, request.socket.remoteAddress].filter((one) => one !== undefined && one !== '').join(', ')
}

// No longer than a client may be still: one that pauses makes its service pause too (libs/service/src/slow-client.ts).
const silentMs = usualPatience.stillMs
const hopByHop = ['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade']

/** Sends requests on to a service on this machine, streaming both ways. An answer that breaks off there breaks off here too. */
export function createForward(port: number): RequestListener {
  const agent = new Agent({ keepAlive: true, maxSockets: usualClientLimits().mostConnections })
  return (request, response) => {
    const headers: Record<string, string | string[] | undefined> = {
      ...request.headers,
      'x-forwarded-for': forwardedFor(request),
      ...('encrypted' in request.socket ? { 'x-forwarded-proto': 'https' } : {}),
    }
    for (const name of hopByHop) delete headers[name]
    const onward = httpRequest({ host: '127.0.0.1', port, agent, method: request.method, path: request.url, headers })
    onward.setTimeout(silentMs, () => onward.destroy(new Error('the service was silent for too long')))
    onward.on('continue', () => response.writeContinue())
    onward.on('response', (answer) => {
      const given = { ...answer.headers }
      for (const name of hopByHop) delete given[name]
      response.writeHead(answer.statusCode ?? 502, given)
      // Either side may leave in the middle; the other end is then cut, and there is no client left to tell.
      pipeline(answer, response).catch(() => response.destroy())
    })
    onward.on('error', (cause) => {
      if (response.headersSent) {
        response.destroy()
        return
      }
      const problem = new Problem(503, 'service_unavailable', 'A service of Berth does not answer.', {
        hint: 'It may be restarting; try again.',
        cause,
      })
      response
        .writeHead(503, { ...inertHeaders, 'content-type': problemMediaType, 'retry-after': '2' })
        .end(JSON.stringify(problemBody(problem)))
    })
    response.on('close', () => onward.destroy())
    pipeline(request, onward).catch(() => onward.destroy())
  }
}
