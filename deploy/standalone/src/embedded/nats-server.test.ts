import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
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

/** Greets the server as `user` and answers what it said of itself and to a PING. */
async function greet(url: string, credentials: { user?: string; pass?: string }) {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname).setEncoding('latin1')
  const [info] = (await once(socket, 'data')) as [string]
  socket.write(`CONNECT ${JSON.stringify({ verbose: false, ...credentials })}\r\nPING\r\n`)
  const [reply] = (await once(socket, 'data')) as [string]
  socket.destroy()
  return { info: JSON.parse(info.slice('INFO '.length)) as Greeting, reply: reply.trim() }
}

function credentialsIn(url: string) {
  const { username, password } = new URL(url)
  return { user: username, pass: password }
}

async function until(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 20_000; Date.now() < end && !holds(); ) await pause(20)
}

maybe(`the embedded nats-server${binary ? '' : ' (BERTH_NATS_URL names another)'}`, () => {
  test('has JetStream, listens on 127.0.0.1 and wants the password of this run', async () => {
    running = await startNats({ home, binary })
    const { info, reply } = await greet(running.url, credentialsIn(running.url))
    expect(info).toMatchObject({ jetstream: true, auth_required: true, host: '127.0.0.1' })
    expect(reply).toBe('PONG')
    expect((await greet(running.url, {})).reply).toBe("-ERR 'Authorization Violation'")
    expect(statSync(path.join(home, 'nats')).mode & 0o077).toBe(0)
  })

  test('killed under us it is started again at the same address', async () => {
    running = await startNats({ home, binary })
    const killed = running.pid
    process.kill(killed, 'SIGKILL')
    await until(() => running?.pid !== killed)
    expect(running?.pid).not.toBe(killed)
    expect((await greet(running.url, credentialsIn(running.url))).reply).toBe('PONG')
  })

  test('starts again on the same home after a stop', async () => {
    running = await startNats({ home, binary })
    await running.stop()
    running = await startNats({ home, binary })
    expect((await greet(running.url, credentialsIn(running.url))).reply).toBe('PONG')
  })
})

test('a program that is not there is named with the remedy', async () => {
  await expect(startNats({ home, binary: '/nonexistent/nats-server' })).rejects.toThrow('/nonexistent/nats-server')
})
