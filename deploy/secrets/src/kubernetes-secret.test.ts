import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { makeSelfSigned } from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { type Cluster, fillKubernetesSecret } from './kubernetes-secret.ts'
import { natsUsersOfRights, secretNames } from './secrets-folder.ts'

// Stands for the API of a cluster, which is the far side of the network here; e2e/kubernetes asks a real one.
type Stored = { metadata: { name: string; resourceVersion: string }; data: Record<string, string> }

const place = '/api/v1/namespaces/berth/secrets'
let server: Server
let cluster: Cluster
let stored: Stored | undefined
let beforeChange: (() => void) | undefined
let version = 0

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const end = (status: number, body: object) => void response.writeHead(status).end(JSON.stringify(body))
  const sent = JSON.parse((await text(request)) || '{}') as Stored
  if (request.headers.authorization !== 'Bearer token') return end(403, { message: 'no rights' })
  if (request.method === 'GET') return stored ? end(200, stored) : end(404, { message: 'not found' })
  beforeChange?.()
  beforeChange = undefined
  if (request.method === 'POST' && request.url === place) {
    if (stored) return end(409, { message: 'already exists' })
    stored = { ...sent, metadata: { ...sent.metadata, resourceVersion: String(++version) } }
    return end(201, stored)
  }
  if (sent.metadata.resourceVersion !== stored?.metadata.resourceVersion) return end(409, { message: 'modified' })
  const metadata = { ...stored.metadata, resourceVersion: String(++version) }
  const data = Object.entries({ ...stored.data, ...sent.data }).filter(([, text]) => text !== null)
  stored = { metadata, data: Object.fromEntries(data) }
  end(200, stored)
}

beforeAll(async () => {
  const pair = makeSelfSigned('localhost')
  server = createServer(pair, (request, response) => {
    answer(request, response).catch((error: Error) => response.destroy(error))
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  cluster = { host: '127.0.0.1', port: String(port), namespace: 'berth', token: 'token', ca: pair.cert.toString() }
})
afterAll(() => void server.close())
beforeEach(() => {
  stored = undefined
})

const keep = (data: Record<string, string>) => {
  stored = { metadata: { name: 'keys', resourceVersion: String(++version) }, data }
}
const encode = (text: string) => Buffer.from(text).toString('base64')
const textOf = (name: string) => Buffer.from(stored?.data[name] ?? '', 'base64').toString()

test('where there is no secret it is made with all keys, and the next time nothing is done', async () => {
  expect((await fillKubernetesSecret('keys', cluster)).toSorted()).toEqual(
    [...secretNames, natsUsersOfRights].toSorted(),
  )
  const made = structuredClone(stored)
  expect(await fillKubernetesSecret('keys', cluster)).toEqual([])
  expect(stored).toEqual(made)
})

test('what is there stays to the byte, and what is missing is added', async () => {
  await fillKubernetesSecret('keys', cluster)
  const { 'metrics-token': _, ...rest } = stored?.data ?? {}
  keep({ ...rest, 'admin-password': encode('chosen by a person\n'), other: encode('of somebody else') })
  expect(await fillKubernetesSecret('keys', cluster)).toEqual(['metrics-token'])
  expect([textOf('admin-password'), textOf('other')]).toEqual(['chosen by a person\n', 'of somebody else'])
})

test('the users of NATS are those of this release', async () => {
  await fillKubernetesSecret('keys', cluster)
  const users = textOf('nats-users.conf')
  keep({ ...stored?.data, 'nats-users.conf': encode('of an older release') })
  expect(await fillKubernetesSecret('keys', cluster)).toEqual(['nats-users.conf'])
  expect(textOf('nats-users.conf')).toBe(users)
  expect(textOf(natsUsersOfRights)).toBe(users)
})

test('users of another release stay for its pods, until they are so many that a secret has no room', async () => {
  await fillKubernetesSecret('keys', cluster)
  const { [natsUsersOfRights]: users = '', ...others } = stored?.data ?? {}
  const before = 'nats-users-00000000000b.conf'
  const old = { ...others, [before]: encode('theirs'), 'nats-users.conf': encode('# rights 00000000000b\ntheirs') }
  keep(old)
  await fillKubernetesSecret('keys', cluster)
  expect(stored?.data).toEqual({ ...others, [before]: encode('theirs'), [natsUsersOfRights]: users })
  const many = Array.from({ length: 20 }, (_, n) => [`nats-users-0000000001${n + 10}.conf`, encode('x'.repeat(30_000))])
  keep({ ...old, ...Object.fromEntries(many) })
  await fillKubernetesSecret('keys', cluster)
  expect(stored?.data).toEqual({ ...others, [before]: encode('theirs'), [natsUsersOfRights]: users })
})

test('of two that make it at once one wins, and both go on with its keys', async () => {
  beforeChange = () => keep({ 'admin-password': encode('of the faster one') })
  await fillKubernetesSecret('keys', cluster)
  expect(textOf('admin-password')).toBe('of the faster one')
  beforeChange = () =>
    keep({ ...stored?.data, 'metrics-token': encode('changed meanwhile, and of more than 32 bytes') })
  const { 'metrics-token': _, ...rest } = stored?.data ?? {}
  keep(rest)
  await fillKubernetesSecret('keys', cluster)
  expect(textOf('metrics-token')).toBe('changed meanwhile, and of more than 32 bytes')
})

test('what Kubernetes refuses is told with what to give', async () => {
  const refused = fillKubernetesSecret('keys', { ...cluster, token: 'wrong' })
  await expect(refused).rejects.toMatchObject({
    message: expect.stringContaining('403'),
    remedy: expect.stringContaining('service account'),
  })
  await expect(fillKubernetesSecret('keys', { ...cluster, port: '1' })).rejects.toMatchObject({
    message: expect.stringContaining('ECONNREFUSED'),
  })
})
