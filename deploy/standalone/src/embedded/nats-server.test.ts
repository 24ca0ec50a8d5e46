import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connectBus } from '@berth/bus'
import { createLogger } from '@berth/service'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { type EmbeddedNats, startNats } from './nats-server.ts'

const binary = process.env.BERTH_NATS_SERVER ?? ''
const maybe = binary ? describe : describe.skip

let home: string
let running: EmbeddedNats | undefined

beforeEach(() => {
  home = mkdtempSync(path.join(os.tmpdir(), `berth-test-${process.pid}-nats-`))
})

afterEach(async () => {
  await running?.stop()
  running = undefined
  rmSync(home, { recursive: true })
})

type Greeting = { jetstream: boolean; auth_required: boolean; host: string }

/** Greets the server without a login, and answers what it said of itself and to a PING. */
async function greet(url: string) {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname).setEncoding('latin1')
  const [info] = (await once(socket, 'data')) as [string]
  socket.write('CONNECT {"verbose":false}\r\nPING\r\n')
  const [reply] = (await once(socket, 'data')) as [string]
  socket.destroy()
  return { info: JSON.parse(info.slice('INFO '.length)) as Greeting, reply: reply.trim() }
}

const log = createLogger({ service: 'test', silent: true })
/** Logs in as auth does. */
async function expectLogin({ url, seeds }: EmbeddedNats): Promise<void> {
  const bus = await connectBus({ url, seed: seeds.auth, name: 'auth', log })
  await bus.connection.flush()
  await bus.close()
}

async function until(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 20_000; Date.now() < end && !holds(); ) await pause(20)
}

maybe(`the embedded nats-server${binary ? '' : ' (BERTH_NATS_URL names another)'}`, () => {
  test('has JetStream, listens on 127.0.0.1 and wants a key of this run', async () => {
    running = await startNats({ home, binary })
    const { info, reply } = await greet(running.url)
    expect(info).toMatchObject({ jetstream: true, auth_required: true, host: '127.0.0.1' })
    expect(reply).toBe("-ERR 'Authorization Violation'")
    await expectLogin(running)
    for (const file of ['url', 'reader.nk']) expect(statSync(path.join(home, 'nats', file)).mode & 0o077).toBe(0)
    expect(statSync(path.join(home, 'nats')).mode & 0o077).toBe(0)
  })

  test('killed under us it is started again at the same address', async () => {
    running = await startNats({ home, binary })
    const killed = running.pid
    process.kill(killed, 'SIGKILL')
    await until(() => running?.pid !== killed)
    expect(running?.pid).not.toBe(killed)
    await expectLogin(running)
  })

  test('starts again on the same home after a stop', async () => {
    running = await startNats({ home, binary })
    await running.stop()
    running = await startNats({ home, binary })
    await expectLogin(running)
  })
})

test('a program that is not there is named with the remedy', async () => {
  await expect(startNats({ home, binary: '/nonexistent/nats-server' })).rejects.toThrow('/nonexistent/nats-server')
})
