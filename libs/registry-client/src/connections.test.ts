import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterEach, expect, test } from '@jest/globals'
import { createRegistryClient } from './client.ts'

const digest = `sha256:${'a'.repeat(64)}`
const headers = {
  'docker-content-digest': digest,
  'content-type': 'application/vnd.oci.image.manifest.v1+json',
  'content-length': '2',
}
const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

async function listen(server: Server): Promise<{ url: string; connections: () => number }> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  stops.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, connections: () => sockets.size }
}

async function askForTags(url: string, count: number): Promise<(string | undefined)[]> {
  const client = createRegistryClient({ url, allowPrivateAddresses: true, concurrency: 2 })
  try {
    const found = []
    for (let i = 0; i < count; i++) found.push(await client.resolve('app', `v${i}`))
    return found
  } finally {
    await client.close()
  }
}
const all = (count: number) => Array.from({ length: count }, () => digest)

test('many tags are asked for over one connection', async () => {
  const { url, connections } = await listen(
    createHttpServer((_request, response) => void response.writeHead(200, headers).end()),
  )
  expect(await askForTags(url, 50)).toEqual(all(50))
  expect(connections()).toBeLessThanOrEqual(2)
})

test('an upstream that sends a body with the answer to HEAD is understood all the same', async () => {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const wrong = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', () => void socket.write(`HTTP/1.1 200 OK\r\n${lines.join('')}\r\n{}`))
  })
  const { url } = await listen(wrong)
  expect(await askForTags(url, 5)).toEqual(all(5))
}, 30_000)
