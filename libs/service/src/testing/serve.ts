import { createInternalClient, type InternalClient } from '../internal-client.ts'
import { closeServer, listen, type Service } from '../service.ts'
import { privateKeyOf } from './service-keys.ts'

/** A started service: its public address, and a client of its commands. */
export type Served = { url: string; internalUrl: string; internal: InternalClient; stop: () => Promise<void> }

/** Starts a service behind free ports. The client asks for each command as a service that may. */
export async function serve(service: Service): Promise<Served> {
  await service.start()
  const open = await listen(service.public, { port: 0, host: '127.0.0.1' })
  const inner = await listen(service.internal, { port: 0, host: '127.0.0.1' })
  const internalUrl = `http://127.0.0.1:${inner.port}`
  const clients = new Map<string, InternalClient>()
  const clientFor = (command: string): InternalClient => {
    const from = service.internal.callers?.[command]?.[0] ?? 'test'
    const client =
      clients.get(from) ??
      createInternalClient({ baseUrl: internalUrl, from, to: service.name, privateKey: privateKeyOf(from) })
    clients.set(from, client)
    return client
  }
  const close = async () => void (await Promise.all([...clients.values()].map((client) => client.close())))
  return {
    url: `http://127.0.0.1:${open.port}`,
    internalUrl,
    internal: {
      call: (command, body, options) => clientFor(command).call(command, body, options),
      rows: (command, body, options) => clientFor(command).rows(command, body, options),
      bytes: (command, body, options) => clientFor(command).bytes(command, body, options),
      close,
    },
    stop: async () => {
      await close()
      await service.stop()
      await Promise.all([closeServer(open.server, 500), closeServer(inner.server, 500)])
    },
  }
}
