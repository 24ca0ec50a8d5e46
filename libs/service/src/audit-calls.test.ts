import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type AuditEntry, openAudit, withAudit } from './audit-entry.ts'
import { createInternalClient, type InternalClient } from './internal-client.ts'
import { createInternalServer } from './internal-server.ts'
import { createLogger } from './logger.ts'
import { closeServer, listen } from './service.ts'
import { privateKeyOf, publicKeys } from './testing/service-keys.ts'

const entry: AuditEntry = {
  action: 'doIt',
  actor: { id: null, name: 'Jörg 🚢' },
  object: { kind: 'thing', id: null, name: 'one' },
  detail: null,
  address: '2001:db8::1',
  requestId: 'r',
}
const owner = createInternalServer({
  service: 'owner',
  publicKeys,
  log: createLogger({ service: 'test', silent: true }),
  commands: { tell: async () => ({ entry: openAudit()?.entry ?? null }) },
})
let listening: Awaited<ReturnType<typeof listen>>
let clients: Record<'over a socket' | 'in the same process', InternalClient>

beforeAll(async () => {
  listening = await listen(owner, { port: 0, host: '127.0.0.1' })
  const common = {
    baseUrl: `http://127.0.0.1:${listening.port}`,
    from: 'asker',
    to: 'owner',
    privateKey: privateKeyOf('asker'),
  }
  clients = {
    'over a socket': createInternalClient(common),
    'in the same process': createInternalClient({ ...common, localPeers: () => owner }),
  }
})
afterAll(async () => {
  await Promise.all(Object.values(clients).map((client) => client.close()))
  await closeServer(listening.server, 0)
})

describe.each(['over a socket', 'in the same process'] as const)('a command %s', (way) => {
  const tell = (audit?: AuditEntry) => clients[way].call('tell', {}, audit ? { audit } : {})

  test('is told what is to be recorded of the request that it serves, or of what its caller says', async () => {
    expect(await withAudit(entry, () => tell())).toEqual({ entry })
    expect(await tell(entry)).toEqual({ entry })
  })

  test('of nobody’s request, and of one that is recorded already, is told nothing', async () => {
    expect(await tell()).toEqual({ entry: null })
    const recorded = withAudit(entry, () => {
      const open = openAudit()
      if (open) open.isRecorded = true
      return tell()
    })
    expect(await recorded).toEqual({ entry: null })
  })
})
