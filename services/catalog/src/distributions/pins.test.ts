import { adminRights } from '@berth/access'
import { commandsOf, type RegistryCommands, type ServedDistribution, type ServedHead } from '@berth/commands'
import {
  type ApiHandler,
  closeServer,
  createGuard,
  createInternalClient,
  createInternalServer,
  createLogger,
  type InternalClient,
  listen,
} from '@berth/service'
import { privateKeyOf, publicKeys } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { distributionHandlers } from '../api/distributions.ts'
import { openPrisma } from '../db/client.ts'
import { streamHeads } from '../served/rows.ts'
import { createServedGate } from '../served/wait-until-served.ts'
import { startYard, type Yard } from '../testing/collect.fixture.ts'
import { rolledBack } from '../testing/large-rollback.fixture.ts'
import { rollBack } from '../versions/rollback.ts'
import { writeOutRollback } from '../versions/rollback-writer.ts'
import { insertDistribution } from './write.ts'

const actor = { id: null, name: 'ana' }
let yard: Yard
let handlers: Record<string, ApiHandler>
let client: InternalClient
let closeRegistry: () => Promise<void>

/** What registry was told, in order, and what happens while it follows a repository. */
let told: ({ revision: number } | { version: number | null })[] = []
let whileFollowing = async () => {}

beforeAll(async () => {
  yard = await startYard()
  const registry = createInternalServer({
    service: 'registry',
    publicKeys,
    log: createLogger({ service: 'registry', silent: true }),
    commands: {
      'follow-repository': async ({ revision }: { revision: number }) => {
        const happens = whileFollowing
        whileFollowing = async () => {}
        await happens()
        told.push({ revision })
        return {}
      },
      'follow-distribution': async ({ version }: ServedDistribution) => {
        told.push({ version })
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
  handlers = distributionHandlers(
    yard.db,
    openPrisma(yard.db),
    { sync: commandsOf(client), auth: commandsOf(client), guard: createGuard({}) },
    gate,
  )
})
afterAll(async () => {
  await client?.close()
  await closeRegistry?.()
  await yard?.stop()
})

/** A repository of which version 4 is a rollback that is settled, and pinned; version 5 is one that is not. */
async function pinned() {
  const { db } = yard
  const { name, id: repositoryId } = await rolledBack(yard)
  await writeOutRollback(db, repositoryId)
  const basePath = `${name}-pinned`
  const fields = { name: basePath, basePath, version: 4 }
  const id = await db.transaction((sql) => insertDistribution(sql, fields, { repositoryId }, { actor, ownerId: null }))
  await rollBack(db, { repositoryId, version: 3, actor }, 0)
  const change = (body: object) =>
    handlers.updateDistribution?.({
      params: { distribution: id },
      body,
      principal: { name: actor, rights: adminRights('') },
    } as never)
  const revision = async () =>
    (await db.query<{ revision: number }>('select revision from repository where id = $1', [repositoryId]))[0]?.revision
  return { repositoryId, id, change, revision }
}

test('registry has the version of a pin before it is told of the pin, also by who changed something else meanwhile', async () => {
  const { change, revision } = await pinned()
  told = []
  let pinning: Promise<unknown> | undefined
  const settled = Promise.withResolvers<void>()
  const changed = Promise.withResolvers<void>()
  whileFollowing = async () => {
    // Pinned and settled, and registry still at work on that.
    whileFollowing = async () => {
      settled.resolve()
      await changed.promise
    }
    pinning = change({ version: 5 })
    await settled.promise
  }
  await change({ redirect: true })
  changed.resolve()
  await pinning
  const last = await revision()
  const followed = told.findIndex((one) => 'revision' in one && one.revision === last)
  const pins = told.flatMap((one, i) => ('version' in one && one.version === 5 ? [i] : []))
  expect(followed).not.toBe(-1)
  expect(Math.min(...pins)).toBeGreaterThan(followed)
})

test('who is told of a pin among all that is served is told to follow as far as it needs', async () => {
  const { db } = yard
  const { repositoryId, id, revision, change } = await pinned()
  const heads: ServedHead[] = []
  for await (const head of streamHeads(db)) {
    heads.push(head)
    if (head.kind === 'repository' && head.repositoryId === repositoryId) await change({ version: 5 })
  }
  const before = heads.filter((head) => head.kind === 'repository').find((head) => head.repositoryId === repositoryId)
  expect(before?.revision).toBeLessThan((await revision()) as number)
  expect(heads).toContainEqual(expect.objectContaining({ kind: 'distribution', id, version: 4 }))
})
