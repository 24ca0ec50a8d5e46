import { mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { type ServerProcess, startServerProcess } from './server-process.ts'

/** A NATS server of its own at a port, with nothing in it. */
export async function startNatsAt(port: number): Promise<ServerProcess> {
  return startServerProcess({
    name: 'nats',
    program: process.env.BERTH_NATS_SERVER as string,
    args: (folder) => {
      mkdirSync(path.join(folder, 'js'))
      return ['--addr', '127.0.0.1', '--port', String(port), '--jetstream', '--store_dir', path.join(folder, 'js')]
    },
    isReady: () => greets(port),
  })
}

function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('data', () => socket.destroy())
    socket.once('error', () => resolve(false))
    socket.once('close', (failed) => resolve(!failed))
  })
}
