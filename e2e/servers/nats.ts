import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { freePort } from '@berth/standalone/children'
import { type ServerProcess, startServerProcess } from './server-process.ts'

/**
 * A NATS server of its own at a port, with nothing in it; for everybody, or with one login for all. With `isDurable` each message is on the
 * disk before it is acknowledged, as clusters that must lose none are set up (`sync_interval: always`).
 */
export async function startNatsAt(
  port: number,
  login?: { user: string; password: string },
  { isDurable = false } = {},
): Promise<ServerProcess> {
  const credentials = login ? ['--user', login.user, '--pass', login.password] : []
  return startServerProcess({
    name: 'nats',
    program: process.env.BERTH_NATS_SERVER as string,
    args: (folder) => {
      const store = path.join(folder, 'js')
      mkdirSync(store)
      if (isDurable) {
        const file = path.join(folder, 'nats.conf')
        writeFileSync(file, `jetstream { store_dir: ${JSON.stringify(store)}, sync_interval: always }\n`)
        return ['--addr', '127.0.0.1', '--port', String(port), '--config', file, ...credentials]
      }
      return ['--addr', '127.0.0.1', '--port', String(port), '--jetstream', '--store_dir', store, ...credentials]
    },
    isReady: () => greets(port),
  })
}

/** A NATS server with one login for all, as many have one; the URL carries it. */
export async function startNatsWithLogin(): Promise<ServerProcess & { url: string }> {
  const port = await freePort()
  const login = { user: 'berth', password: 'one login for all' }
  const url = `nats://${login.user}:${encodeURIComponent(login.password)}@127.0.0.1:${port}`
  return { ...(await startNatsAt(port, login)), url }
}

function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('data', () => socket.destroy())
    socket.once('error', () => resolve(false))
    socket.once('close', (failed) => resolve(!failed))
  })
}
