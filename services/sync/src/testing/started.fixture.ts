import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openBlobStore } from '@berth/blobs'
import { createLogger, createMetrics } from '@berth/service'
import { keysOf, makeDatabase, serve, startProcess, testServers } from '@berth/service/testing'
import { createSync } from '../app.ts'

const password = 'the password of the admin'
/** `authorization` is that of the administrator: a token, for a password is checked slowly on purpose. */
export type StartedSync = { url: string; databaseUrl: string; authorization: string; stop: () => Promise<void> }

/** Starts sync with the real auth beside it: remotes can be used, runs need the whole of Berth. */
export async function startSync(): Promise<StartedSync> {
  const database = await makeDatabase()
  const secretsKey = randomBytes(32).toString('base64')
  const auth = await startProcess('auth', database.url, {
    BERTH_SECRETS_KEY: secretsKey,
    BERTH_ADMIN_PASSWORD: password,
  })
  const folder = await mkdtemp(join(tmpdir(), 'berth-sync-'))
  const blobs = await openBlobStore({ blobsDirectory: folder })
  const away = 'http://127.0.0.1:1'
  const service = createSync(
    {
      databaseUrl: database.url,
      natsUrl: testServers().natsUrl,
      ...keysOf('sync'),
      secretsKey,
      spoolDirectory: join(folder, 'spool'),
      internalUrl: undefined,
      catalogUrl: away,
      tasksUrl: away,
      authUrl: auth.internalUrl,
      taskLeaseSeconds: 15,
      callTimeoutSeconds: 2,
    },
    { log: createLogger({ service: 'sync', silent: true }), metrics: createMetrics(), blobs },
  )
  const served = await serve(service)
  const login = await fetch(`${auth.url}/token?service=berth`, {
    headers: { authorization: `Basic ${btoa(`admin:${password}`)}` },
  })
  const { token } = (await login.json()) as { token: string }
  return {
    url: served.url,
    authorization: `Bearer ${token}`,
    databaseUrl: database.url,
    stop: async () => {
      await served.stop()
      await auth.stop()
      await blobs.close()
      await rm(folder, { recursive: true })
      await database.drop()
    },
  }
}
