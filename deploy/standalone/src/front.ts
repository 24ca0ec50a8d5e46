import type { RequestListener, ServerResponse } from 'node:http'
import { inertHeaders, Problem, problemBody, problemMediaType, version } from '@berth/service'
import { mergeDocuments } from './merged-document.ts'
import { type ServiceName, serviceFor } from './routes.ts'

/** The one public origin: hands each request to the service that answers it. */
export function createFront(listenerOf: (service: ServiceName) => RequestListener | undefined): RequestListener {
  return (request, response) => {
    const path = request.url?.split('?', 1)[0] ?? '/'
    if (path === '/api/v1/openapi.json') return sendJson(response, mergeDocuments())
    if (path === '/') return sendText(response, welcome)
    const service = serviceFor(path)
    if (!service)
      return refuse(
        response,
        new Problem(404, 'no_such_path', `There is nothing under ${path}.`, {
          hint: 'The API is described at /api/v1/openapi.json; images are served under /v2.',
        }),
      )
    const listener = listenerOf(service)
    if (listener) return listener(request, response)
    refuse(
      response,
      new Problem(503, 'starting', 'Berth is starting.', {
        hint: 'Try again in a few seconds.',
        headers: { 'retry-after': '2' },
      }),
    )
  }
}

const welcome = `This is Berth ${version}, a container registry hub.

  images     docker login, pull and push against this host
  API        /api/v1/openapi.json describes it
  health     /healthz, /readyz, /metrics
`

function sendText(response: ServerResponse, text: string): void {
  response
    .writeHead(200, {
      ...inertHeaders,
      'content-type': 'text/plain; charset=utf-8',
      'content-length': Buffer.byteLength(text),
    })
    .end(text)
}

function sendJson(response: ServerResponse, value: unknown): void {
  const body = JSON.stringify(value)
  response
    .writeHead(200, { ...inertHeaders, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    .end(body)
}

function refuse(response: ServerResponse, problem: Problem): void {
  const body = JSON.stringify(problemBody(problem))
  response
    .writeHead(problem.status, {
      ...inertHeaders,
      'content-type': problemMediaType,
      'content-length': Buffer.byteLength(body),
      ...problem.options.headers,
    })
    .end(body)
}
