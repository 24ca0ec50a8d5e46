import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '@berth/service/testing'

/** A nats-server of a test's own, which it may end, wipe and start again at the same address. */
export type NatsFixture = {
  url: string
  start(): Promise<void>
  /** Ends it; with `wipe` its store is gone too. */
  stop(options?: { wipe?: boolean }): Promise<void>
  remove(): Promise<void>
}

/** `authorization` is a part of its configuration; without it everybody may do everything. */
export async function makeNats(authorization = ''): Promise<NatsFixture> {
  const binary = process.env.BERTH_NATS_SERVER
  if (!binary) throw new Error('BERTH_NATS_SERVER is not set: the test run names it')
  const folder = mkdtempSync(join(tmpdir(), 'berth-bus-'))
  const port = await freePort()
  const store = join(folder, 'store')
  const configuration = join(folder, 'nats.conf')
  writeFileSync(
    configuration,
    `listen: "127.0.0.1:${port}"\njetstream { store_dir: ${JSON.stringify(store)} }\n${authorization}\n`,
  )
  let child: ChildProcess | undefined
  const killAtExit = () => child?.kill('SIGKILL')
  process.on('exit', killAtExit)
  const start = async () => {
    child = spawn(binary, ['-c', configuration], { stdio: 'ignore' })
    await until(() => greets(port))
  }
  const stop = async ({ wipe = false } = {}) => {
    const running = child
    child = undefined
    if (running) {
      running.kill('SIGKILL')
      await once(running, 'exit')
    }
    if (wipe) rmSync(store, { recursive: true, force: true })
  }
  await start()
  return {
    url: `nats://127.0.0.1:${port}`,
    start,
    stop,
    remove: async () => {
      await stop()
      process.off('exit', killAtExit)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const answer = (greeted: boolean) => {
      socket.destroy()
      resolve(greeted)
    }
    socket.once('data', () => answer(true))
    socket.once('error', () => answer(false))
  })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
