import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from '@jest/globals'
import { createInternalClient } from './internal-client.ts'
import { createInternalServer } from './internal-server.ts'
import { type InternalTls, openInternalTls } from './internal-tls.ts'
import { createLogger, type Logger } from './logger.ts'
import { closeServer, listen } from './service.ts'
import { StartupError } from './startup-error.ts'
import { makeSelfSigned, makeSigned, privateKeyOf, publicKeys, until } from './testing/index.ts'
import type { TlsPair } from './tls.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-internal-tls-'))
afterAll(() => rmSync(folder, { recursive: true }))
const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

const silent = createLogger({ service: 'test', silent: true })
const ours = makeSelfSigned('ours')
const theirs = makeSelfSigned('theirs')
const here = ['localhost', '127.0.0.1']

let lastFolder = 0
/** The files of a service, and what writes others into their place. */
function filesOf(pair: TlsPair, ca: Buffer) {
  const place = join(folder, String(++lastFolder))
  mkdirSync(place)
  const files = {
    internalTlsCert: join(place, 'tls.crt'),
    internalTlsKey: join(place, 'tls.key'),
    internalTlsCa: join(place, 'ca.crt'),
  }
  const write = (next: TlsPair, authorities: Buffer) => {
    for (const [file, text] of [
      [files.internalTlsCert, next.cert],
      [files.internalTlsKey, next.key],
      [files.internalTlsCa, authorities],
    ] as const) {
      writeFileSync(`${file}.new`, text)
      renameSync(`${file}.new`, file)
    }
  }
  write(pair, ca)
  return { files, write }
}

async function opened(pair: TlsPair, ca = ours.cert, log: Logger = silent) {
  const { files, write } = filesOf(pair, ca)
  const tls = (await openInternalTls(files, log, { lookEveryMs: 20 })) as InternalTls
  stops.push(() => tls.shown.stop())
  return { tls, write }
}

const hello = createInternalServer({
  service: 'auth',
  publicKeys,
  log: silent,
  commands: { hello: async (_, { from }) => ({ from }) },
})
async function listening(tls: InternalTls | undefined, handler: RequestListener = hello): Promise<number> {
  const { server, port } = await listen(handler, { port: 0, host: '127.0.0.1', tls: tls?.shown })
  stops.push(() => closeServer(server, 0))
  return port
}
function ask(baseUrl: string, tls: InternalTls | undefined, from = 'tasks'): Promise<unknown> {
  const client = createInternalClient({ baseUrl, from, to: 'auth', privateKey: privateKeyOf(from), tls })
  stops.push(() => client.close())
  return client.call('hello', {}, { timeoutMs: 5_000 })
}
const unbelieved = {
  status: 503,
  code: 'service_unavailable',
  message: expect.stringContaining('no certificate that is'),
}

function noting() {
  const told: string[] = []
  const tell = (message: string, fields?: object) =>
    void told.push(`${message}: ${Object.values(fields ?? {}).join(' ')}`)
  const log: Logger = { error: tell, warn: tell, info: () => {}, debug: () => {}, with: () => log }
  return { told, log }
}

test('a service is asked under its name, or its address, where its certificate of our authority has that', async () => {
  const port = await listening((await opened(makeSigned(here, 'ours', ours))).tls)
  const { tls } = await opened(makeSigned(['tasks'], 'ours', ours))
  for (const host of here) expect(await ask(`https://${host}:${port}`, tls)).toEqual({ from: 'tasks' })
})

test.each([
  ['of another authority', makeSigned(here, 'theirs', theirs), /certificate/],
  ['that is its own', makeSelfSigned('auth'), /self-signed certificate/],
  ['of an authority that only has the name of ours', makeSigned(here, 'ours', theirs), /signature/],
  ['for another host', makeSigned(['catalog'], 'ours', ours), /altnames.*DNS:catalog/],
])(
  'one that shows a certificate %s is sent nothing; that is told at once, with the reason once in the log',
  async (_, pair, reason) => {
    const heard: unknown[] = []
    const port = await listening((await opened(pair)).tls, (request) => void heard.push(request.url))
    const { told, log } = noting()
    const { tls } = await opened(makeSigned(['tasks'], 'ours', ours), ours.cert, log)
    const startedAt = performance.now()
    const client = createInternalClient({
      baseUrl: `https://localhost:${port}`,
      from: 'tasks',
      to: 'auth',
      privateKey: privateKeyOf('tasks'),
      tls,
    })
    stops.push(() => client.close())
    await expect(client.call('hello', {})).rejects.toMatchObject(unbelieved)
    await expect(client.bytes('hello', {})).rejects.toMatchObject(unbelieved)
    await expect(client.rows('hello', {})[Symbol.asyncIterator]().next()).rejects.toMatchObject(unbelieved)
    expect(performance.now() - startedAt).toBeLessThan(3_000)
    expect(told.filter((line) => line.startsWith('the certificate of another service is not believed: auth'))).toEqual([
      expect.stringMatching(reason),
    ])
    expect(heard).toEqual([])
  },
)

test('a replica is asked at its address, which no certificate has: it is known by the name of our own', async () => {
  const ofAuth = makeSigned(['auth', 'auth.berth.svc'], 'ours', ours)
  const [right, wrong] = [
    await listening((await opened(ofAuth)).tls),
    await listening((await opened(makeSigned(['tasks'], 'ours', ours))).tls),
  ]
  const { tls } = await opened(makeSigned(['auth', 'auth.berth.svc'], 'ours', ours))
  expect(await ask(`https://127.0.0.1:${right}`, tls, 'auth')).toEqual({ from: 'auth' })
  await expect(ask(`https://127.0.0.1:${wrong}`, tls, 'auth')).rejects.toMatchObject(unbelieved)
  await expect(ask(`https://127.0.0.1:${right}`, tls, 'tasks')).rejects.toMatchObject(unbelieved)
})

test('new certificates and authorities are taken without a restart, on both sides', async () => {
  const owner = await opened(makeSigned(here, 'ours', ours))
  const asker = await opened(makeSigned(['tasks'], 'ours', ours))
  const port = await listening(owner.tls)
  const url = `https://localhost:${port}`
  expect(await ask(url, asker.tls)).toEqual({ from: 'tasks' })
  owner.write(makeSigned(here, 'theirs', theirs), theirs.cert)
  await until(async () => (await ask(url, asker.tls).catch((error) => error.status)) === 503)
  // Of the file that has both for a while each is believed.
  asker.write(makeSigned(['tasks'], 'ours', ours), Buffer.concat([ours.cert, theirs.cert]))
  await until(async () => (await ask(url, asker.tls).catch((error) => error.status)) !== 503)
  expect(await ask(url, asker.tls)).toEqual({ from: 'tasks' })
})

test('nothing goes between one that encrypts and one that does not', async () => {
  const { tls } = await opened(makeSigned(here, 'ours', ours))
  const port = await listening(tls)
  await expect(fetch(`http://127.0.0.1:${port}/internal/auth/hello`, { method: 'POST' })).rejects.toThrow(
    'fetch failed',
  )
  const plain = createInternalClient({
    baseUrl: `http://127.0.0.1:${port}`,
    from: 'tasks',
    to: 'auth',
    privateKey: privateKeyOf('tasks'),
  })
  stops.push(() => plain.close())
  await expect(plain.call('hello', {}, { timeoutMs: 200 })).rejects.toMatchObject({ status: 503 })

  const bytes: Buffer[] = []
  const server = createServer((request) => void bytes.push(Buffer.from(request.url ?? ''))).listen(0, '127.0.0.1')
  stops.push(() => closeServer(server, 0))
  await until(async () => server.listening)
  const { port: open } = server.address() as AddressInfo
  await expect(ask(`http://127.0.0.1:${open}`, tls)).rejects.toMatchObject(unbelieved)
  const early = createInternalClient({
    baseUrl: `https://127.0.0.1:${open}`,
    from: 'tasks',
    to: 'auth',
    privateKey: privateKeyOf('tasks'),
    tls,
  })
  stops.push(() => early.close())
  await expect(early.call('hello', {}, { timeoutMs: 200 })).rejects.toMatchObject({
    status: 503,
    message: 'The auth service does not answer.',
  })
  expect(bytes).toEqual([])
})

test('none of the settings is http; a part of them, or files that cannot be used, are refused in one line', async () => {
  const { files } = filesOf(makeSigned(here, 'ours', ours), ours.cert)
  const none = { internalTlsCert: undefined, internalTlsKey: undefined, internalTlsCa: undefined }
  expect(await openInternalTls(none, silent)).toBeUndefined()
  const { internalTlsCert, internalTlsKey, internalTlsCa } = files
  for (const [some, said] of [
    [{ internalTlsCert }, 'BERTH_INTERNAL_TLS_CERT is set and BERTH_INTERNAL_TLS_KEY is not'],
    [{ internalTlsKey, internalTlsCa }, 'BERTH_INTERNAL_TLS_KEY is set and BERTH_INTERNAL_TLS_CERT is not'],
    [{ internalTlsCert, internalTlsKey }, 'BERTH_INTERNAL_TLS_CERT is set and BERTH_INTERNAL_TLS_CA is not'],
    [{ ...files, internalTlsCa: internalTlsKey }, `BERTH_INTERNAL_TLS_CA=${internalTlsKey} has no certificate in PEM`],
    [{ ...files, internalTlsCert: internalTlsCa }, 'do not belong together'],
    [{ ...files, internalTlsKey: '/none/key' }, 'BERTH_INTERNAL_TLS_KEY=/none/key cannot be read (ENOENT)'],
  ] as const) {
    const failure = await openInternalTls({ ...none, ...some }, silent).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(StartupError)
    expect((failure as StartupError).message).toContain(said)
  }
})
