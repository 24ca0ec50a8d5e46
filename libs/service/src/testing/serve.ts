import { createInternalClient, type InternalClient } from '../internal-client.ts'
import { closeServer, listen, type Service } from '../service.ts'

/** Every service of a test knows this key. */
export const serviceKey = 'a key that only the services of this test know'

/** A started service: its public address, and a client of its commands. */
export type Served = { url: string; internalUrl: string; internal: InternalClient; stop: () => Promise<void> }

/** Starts a service behind free ports. */
export async function serve(service: Service): Promise<Served> {
  await service.start()
  const open = await listen(service.public, { port: 0, host: '127.0.0.1' })
  const inner = await listen(service.internal, { port: 0, host: '127.0.0.1' })
  const internalUrl = `http://127.0.0.1:${inner.port}`
  const internal = createInternalClient({ baseUrl: internalUrl, from: 'test', to: service.name, serviceKey })
  return {
    url: `http://127.0.0.1:${open.port}`,
    internalUrl,
    internal,
    stop: async () => {
      await internal.close()
      await service.stop()
      await Promise.all([closeServer(open.server, 500), closeServer(inner.server, 500)])
    },
  }
}
