import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, afterEach, expect, test } from '@jest/globals'
import type { Logger } from './logger.ts'
import { closeServer, listen } from './service.ts'
import { StartupError } from './startup-error.ts'
import { makeSelfSigned, until } from './testing/index.ts'
import { openTls, type TlsPair } from './tls.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-tls-'))
afterAll(() => rmSync(folder, { recursive: true }))

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

let lastFolder = 0
const newFolder = () => {
  const path = join(folder, String(++lastFolder))
  mkdirSync(path)
  return path
}
const write = (place: string, { cert, key }: TlsPair) => {
  writeFileSync(join(place, 'tls.crt'), cert)
  writeFileSync(join(place, 'tls.key'), key)
}
const filesIn = (place: string) => ({ tlsCert: join(place, 'tls.crt'), tlsKey: join(place, 'tls.key') })

/** A listener on the pair in a folder, which is looked at all the time. */
async function start(place: string) {
  const told: string[] = []
  const tell = (message: string, fields?: object) => void told.push(`${message} ${String(Object.values(fields ?? {}))}`)
  const log: Logger = { error: tell, warn: tell, info: tell, debug: tell, with: () => log }
  const tls = await openTls(filesIn(place), log, { lookEveryMs: 20 })
  if (!tls) throw new Error('no pair was found')
  const { server, port } = await listen((_, response) => response.end('hello'), { port: 0, host: '127.0.0.1', tls })
  stops.push(async () => {
    await tls.stop()
    await closeServer(server, 0)
  })
  return { port, told }
}

/** The name in the certificate that a new connection is shown. */
function nameAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerX509Certificate()?.subject))
      socket.destroy()
    })
    socket.on('error', reject)
  })
}
const isNamed = (port: number, name: string) => until(async () => (await nameAt(port)) === `CN=${name}`)

test('new connections get a pair written over the old one; an open connection goes on', async () => {
  const place = newFolder()
  write(place, makeSelfSigned('first'))
  const { port } = await start(place)
  const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false })
  stops.push(async () => agent.destroy())
  const ask = () =>
    new Promise<number | undefined>((resolve, reject) => {
      get({ host: '127.0.0.1', port, agent }, (answer) => {
        const { localPort } = answer.socket
        answer.resume().on('end', () => resolve(localPort))
      }).on('error', reject)
    })
  await isNamed(port, 'first')
  const before = await ask()
  write(place, makeSelfSigned('second'))
  await isNamed(port, 'second')
  expect(await ask()).toBe(before)
})

test('a pair that is renamed into place is taken, and so is one behind a link that is swapped as Kubernetes does', async () => {
  const place = newFolder()
  const version = (name: string) => {
    mkdirSync(join(place, name))
    write(join(place, name), makeSelfSigned(name))
    return name
  }
  symlinkSync(version('one'), join(place, '..data'))
  for (const file of ['tls.crt', 'tls.key']) symlinkSync(join('..data', file), join(place, file))
  const { port } = await start(place)
  await isNamed(port, 'one')
  symlinkSync(version('two'), join(place, '..data_tmp'))
  renameSync(join(place, '..data_tmp'), join(place, '..data'))
  await isNamed(port, 'two')
  version('three')
  for (const file of ['tls.crt', 'tls.key']) renameSync(join(place, 'three', file), join(place, file))
  await isNamed(port, 'three')
})

test('a new pair that cannot be used leaves the old one, is told of once, and the next good one is taken', async () => {
  const place = newFolder()
  const good = makeSelfSigned('good')
  write(place, good)
  const { port, told } = await start(place)
  for (const [breaking, fault] of [
    [() => writeFileSync(filesIn(place).tlsKey, makeSelfSigned('stranger').key), 'do not belong together'],
    [() => writeFileSync(filesIn(place).tlsCert, 'nonsense'), 'has no certificate in PEM'],
    [() => unlinkSync(filesIn(place).tlsKey), 'cannot be read (ENOENT)'],
  ] as const) {
    told.length = 0
    breaking()
    await until(async () => told.length > 0)
    expect(told[0]).toMatch(/^the new TLS certificate and key cannot be used; the old ones stay/)
    expect(told[0]).toContain(fault)
    expect(await nameAt(port)).toBe('CN=good')
    write(place, good)
    await until(async () => told.length > 1)
    expect(told).toHaveLength(2)
    expect(told[1]).toMatch(/^the TLS certificate and key in use are back in their files/)
  }
  told.length = 0
  write(place, makeSelfSigned('better'))
  await isNamed(port, 'better')
  await until(async () => told.length > 0)
  expect(told).toEqual([expect.stringMatching(/^TLS certificate changed CN=better,/)])
})

test('without the two settings there is no TLS', async () => {
  expect(await openTls({ tlsCert: undefined, tlsKey: undefined }, undefined as unknown as Logger)).toBeUndefined()
})

test.each<[string, (files: { tlsCert: string; tlsKey: string }) => object, RegExp, RegExp]>([
  ['only the certificate', ({ tlsCert }) => ({ tlsCert }), /BERTH_TLS_CERT is set and BERTH_TLS_KEY is not/, /both/],
  ['only the key', ({ tlsKey }) => ({ tlsKey }), /BERTH_TLS_KEY is set and BERTH_TLS_CERT is not/, /both/],
  ['no such file', (f) => ({ ...f, tlsKey: '/none/key' }), /BERTH_TLS_KEY=\/none\/key .*ENOENT/, /may read/],
  ['the key as certificate', (f) => ({ ...f, tlsCert: f.tlsKey }), /BERTH_TLS_CERT=.* no certificate/, /certificate/],
  ['the certificate as key', (f) => ({ ...f, tlsKey: f.tlsCert }), /BERTH_TLS_KEY=.* no private key/, /key/],
])('%s is refused with the setting and the remedy', async (_name, change, message, remedy) => {
  const place = newFolder()
  write(place, makeSelfSigned('refused'))
  const files = { tlsCert: undefined, tlsKey: undefined, ...change(filesIn(place)) }
  const failure = await openTls(files, undefined as unknown as Logger).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(StartupError)
  expect((failure as StartupError).message).toMatch(message)
  expect((failure as StartupError).remedy).toMatch(remedy)
})

test('a key of another certificate is refused', async () => {
  const place = newFolder()
  write(place, { ...makeSelfSigned('one'), key: makeSelfSigned('other').key })
  await expect(openTls(filesIn(place), undefined as unknown as Logger)).rejects.toThrow(
    /BERTH_TLS_CERT=.* and BERTH_TLS_KEY=.* do not belong together/,
  )
})
