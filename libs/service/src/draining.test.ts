import { Agent, get, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { afterEach, expect, test } from '@jest/globals'
import { endAtClose } from './draining.ts'
import { closeServer, listen } from './service.ts'
import { until } from './testing/until.ts'

let server: Server
let agent: Agent
const open: ServerResponse[] = []

async function start(handler: RequestListener): Promise<string> {
  const listening = await listen(handler, { port: 0, host: '127.0.0.1' })
  server = listening.server
  agent = new Agent({ keepAlive: true, maxSockets: 1 })
  return `http://127.0.0.1:${listening.port}/`
}
afterEach(() => {
  agent.destroy()
  server.closeAllConnections()
  open.length = 0
})

const ask = (url: string) =>
  new Promise<IncomingMessage>((resolve, reject) => get(url, { agent }, resolve).on('error', reject))
async function read(answer: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of answer) text += chunk
  return text
}

test('a request under way ends as if nothing was, and says that its connection does too', async () => {
  const url = await start((_, response) => void open.push(response))
  const asking = ask(url)
  await until(async () => open.length === 1)
  const closing = closeServer(server, 60_000)
  open[0]?.end('all of it')
  const answer = await asking
  expect(answer.headers.connection).toBe('close')
  expect(await read(answer)).toBe('all of it')
  await closing
})

test('an answer that had begun before ends, and its connection is not waited for', async () => {
  const url = await start((_, response) => {
    open.push(response)
    response.write('first ')
  })
  const answer = await ask(url)
  const closing = closeServer(server, 60_000)
  open[0]?.end('last')
  expect(await read(answer)).toBe('first last')
  await closing
})

test('an answer without an end is ended', async () => {
  const url = await start((_, response) => {
    response.write('news ')
    endAtClose(response)
  })
  const answer = await ask(url)
  const closing = closeServer(server, 60_000)
  expect(await read(answer)).toBe('news ')
  await closing
})

test('what takes longer than it may is cut', async () => {
  const url = await start((_, response) => void response.write('first '))
  const answer = await ask(url)
  const reading = read(answer).catch((error: Error) => error.message)
  await closeServer(server, 10)
  expect(await reading).toBe('aborted')
})
