import path from 'node:path'
import { createAuth } from '@berth/auth-service'
import type { BlobStore } from '@berth/blobs'
import { createBuild, searchHere } from '@berth/build-service'
import { createCatalog } from '@berth/catalog-service'
import { createRegistry } from '@berth/registry-service'
import { answerStarting, closeServer, listen, type Service } from '@berth/service'
import { createSync } from '@berth/sync-service'
import { createTasks } from '@berth/tasks-service'
import { buildDirectoryOf, transferDirectoryOf } from './config.ts'
import type { Ground, Running } from './ground.ts'
import type { ServiceName } from './routes.ts'
import { readServiceKeys } from './service-keys.ts'

const internalPath = /^\/internal\/([a-z]+)\//

/**
 * Starts the six services in this process. They call each other directly once they have started; what streams, and who is
 * not up yet, goes over one loopback listener, which tells them apart by path.
 */
export async function startInProcess(ground: Ground, blobs: BlobStore): Promise<Running> {
  const { config, secrets, log, metrics, life } = ground
  const byName = new Map<string, Service>()
  const started = new Set<Service>()
  const internal = await listen(
    (request, response) => {
      const service = byName.get(internalPath.exec(request.url ?? '')?.[1] ?? '')
      if (service && started.has(service)) service.internal(request, response)
      else if (service) answerStarting(response, service.name)
      else response.writeHead(404, { 'content-length': 0 }).end()
    },
    { port: 0, host: '127.0.0.1' },
  )
  life.onStop('internal listener', () => closeServer(internal.server, 1_000))

  const keys = readServiceKeys(secrets)
  const peer = `http://127.0.0.1:${internal.port}`
  const shared = {
    ...config,
    secretsKey: secrets.secretsKey,
    servicePublicKeys: keys.publicKeys,
    databaseUrl: ground.databaseUrl,
    natsUrl: ground.natsUrl,
    spoolDirectory: path.join(ground.home, 'spool'),
    buildDirectory: buildDirectoryOf(config, ground.home),
    transferDirectory: transferDirectoryOf(config, ground.home),
    internalUrl: undefined,
    authUrl: peer,
    catalogUrl: peer,
    registryUrl: peer,
    tasksUrl: peer,
    syncUrl: peer,
    buildUrl: peer,
  }
  const localPeers = (name: string) => {
    const service = byName.get(name)
    return service && started.has(service) ? service.internal : undefined
  }
  const parts = { log, metrics, localPeers }
  const settingsOf = (name: ServiceName) => ({
    ...shared,
    servicePrivateKey: keys.privateKeyOf(name),
    natsSeed: ground.natsSeedOf(name),
  })
  const auth = createAuth(settingsOf('auth'), parts)
  const services: Service[] = [
    auth,
    createCatalog(settingsOf('catalog'), { ...parts, blobs }),
    createRegistry(settingsOf('registry'), { ...parts, blobs }),
    createTasks(settingsOf('tasks'), parts),
    createSync(settingsOf('sync'), { ...parts, blobs }),
    createBuild(settingsOf('build'), { ...parts, blobs, findEngine: searchHere(shared) }),
  ]
  for (const service of services) byName.set(service.name, service)
  for (const service of services) {
    await life.add(service.name, async () => {
      await service.start()
      started.add(service)
      return () => service.stop()
    })
  }
  return { services, listenerOf: (name) => byName.get(name)?.public, firstPassword: auth.firstPassword() }
}
