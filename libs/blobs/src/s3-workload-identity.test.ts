import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { until } from '@berth/service/testing'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { freshBlob } from './contract/subject.ts'
import { createS3Store } from './s3/store.ts'

// Stands for what gives keys, an agent of EKS or the token service of IAM, and for a bucket that looks at nothing but who signs.
let url: string
let server: http.Server
let folder: string
let keysAsked = 0
let keysLast = 3_600_000
let refuses = false
const signers: string[] = []
const variables = [
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
  'AWS_ROLE_ARN',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_ENDPOINT_URL_STS',
  'AWS_REGION',
  'AWS_EC2_METADATA_DISABLED',
]

beforeEach(async () => {
  keysAsked = 0
  keysLast = 3_600_000
  refuses = false
  signers.length = 0
  folder = mkdtempSync(path.join(tmpdir(), 'berth-identity-'))
  writeFileSync(path.join(folder, 'token'), 'token of the pod')
  // Nothing here asks the machine that the tests run on.
  process.env.AWS_EC2_METADATA_DISABLED = 'true'
  server = http.createServer((request, response) => {
    text(request)
      .then((body) => answer(request, body, response))
      .catch((error: Error) => response.destroy(error))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(() => {
  for (const name of variables) delete process.env[name]
  rmSync(folder, { recursive: true })
  server.closeAllConnections()
  server.close()
})

function answer(request: http.IncomingMessage, body: string, response: http.ServerResponse): void {
  const isAgent = request.url === '/keys' && request.headers.authorization === 'token of the pod'
  const isTokenService = new URLSearchParams(body).get('WebIdentityToken') === 'token of the pod'
  if (!isAgent && !isTokenService) {
    signers.push(/Credential=([^/]+)/.exec(request.headers.authorization ?? '')?.[1] ?? 'nobody')
    response.writeHead(404).end()
    return
  }
  if (refuses) return void response.writeHead(403).end('no role')
  const id = `key-${++keysAsked}`
  const end = new Date(Date.now() + keysLast).toISOString()
  if (isAgent)
    response.end(JSON.stringify({ AccessKeyId: id, SecretAccessKey: 'secret', Token: 'session', Expiration: end }))
  else
    response.writeHead(200, { 'content-type': 'text/xml' }).end(
      `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>${id}</AccessKeyId>
       <SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken><Expiration>${end}</Expiration></Credentials>
       </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
    )
}

const agent = () => ({
  AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/keys`,
  AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: path.join(folder, 'token'),
})
const tokenService = () => ({
  AWS_ROLE_ARN: 'arn:aws:iam::1:role/berth',
  AWS_WEB_IDENTITY_TOKEN_FILE: path.join(folder, 'token'),
  AWS_ENDPOINT_URL_STS: url,
  AWS_REGION: 'eu-central-1',
})

const open = () => createS3Store({ endpoint: url, bucket: 'blobs', retries: 0 })
const ask = (store: ReturnType<typeof open>) => store.stat(freshBlob(1).key).catch((error: Error) => error)

test.each([
  ['the agent of a node', agent],
  ['a token service', tokenService],
])('keys of %s are got once for all that wait, and again before they end', async (_, environment) => {
  Object.assign(process.env, environment())
  const store = open()
  await Promise.all(Array.from({ length: 8 }, () => ask(store)))
  expect(keysAsked).toBe(1)
  expect(new Set(signers)).toEqual(new Set(['key-1']))
  await store.close()
  // Less than five minutes is left of these.
  keysLast = 60_000
  const other = open()
  // They are got again beside the requests that still have some.
  await until(async () => {
    await ask(other)
    return keysAsked > 2
  })
  await other.close()
})

test('a platform that gives none is told, and asked again the next time', async () => {
  Object.assign(process.env, agent())
  const store = open()
  refuses = true
  expect(await ask(store)).toMatchObject({ message: expect.stringContaining('no keys from the workload identity') })
  refuses = false
  expect(await ask(store)).not.toMatchObject({ message: expect.stringContaining('workload identity') })
  await store.close()
})
