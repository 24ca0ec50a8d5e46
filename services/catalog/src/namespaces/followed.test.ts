import { type AuthCommands, commandsOf, type RegistryCommands } from '@berth/commands'
import {
  closeServer,
  createInternalClient,
  createInternalServer,
  createLogger,
  type InternalClient,
  listen,
} from '@berth/service'
import { privateKeyOf, publicKeys } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { namespaceHandlers } from '../api/namespaces.ts'
import { createServedGate } from '../served/wait-until-served.ts'
import { type Catalog, startCatalog } from '../testing/catalog.fixture.ts'

let catalog: Catalog
let client: InternalClient
let closeRegistry: () => Promise<void>
let handlers: ReturnType<typeof namespaceHandlers>
const told: string[] = []
let isAway = false

beforeAll(async () => {
  catalog = await startCatalog()
  const registry = createInternalServer({
    service: 'registry',
    publicKeys,
    log: createLogger({ service: 'registry', silent: true }),
    commands: {
      'follow-namespace': async ({ name }: { name: string }) => {
        if (isAway) throw new Error('away')
        told.push(name)
        return {}
      },
    },
  })
  const { server, port } = await listen(registry, { host: '127.0.0.1', port: 0 })
  closeRegistry = () => closeServer(server, 0)
  client = createInternalClient({
    baseUrl: `http://127.0.0.1:${port}`,
    from: 'catalog',
    to: 'registry',
    privateKey: privateKeyOf('catalog'),
  })
  const gate = createServedGate(commandsOf<RegistryCommands>(client))
  // Nothing here is asked of auth.
  handlers = namespaceHandlers(catalog.db, gate, commandsOf<AuthCommands>(client))
})
afterAll(async () => {
  await client?.close()
  await closeRegistry?.()
  await catalog?.stop()
})

const create = (name: string) => handlers.createNamespace({ body: { name }, principal: { name: 'ana' } } as never)

test('a namespace is said to be made once registry knows of it, and until then not yet to be served', async () => {
  expect(await create('known')).toMatchObject({ status: 201 })
  expect(told).toEqual(['known'])
  isAway = true
  await expect(create('unknown')).rejects.toMatchObject({ status: 503, code: 'not_yet_served' })
  const { body } = await handlers.showNamespace({ params: { namespace: 'unknown' } } as never)
  expect(body).toMatchObject({ name: 'unknown' })
})
