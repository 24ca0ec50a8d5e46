import { afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Client } from 'pg'
import { pushManifest, pushRandomImage, type Target } from '../berth/push.ts'
import { basic, make, sha256 } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const imageType = 'application/vnd.oci.image.manifest.v1+json'
const stack = withBerth()
let berth: Target
let pid: number

beforeAll(async () => {
  berth = { url: stack.url, authorization: basic(stack) }
  pid = stack.pid
}, 90_000)

// One process carries all six services: an error that no handler takes would be the end of all.
afterEach(async () => {
  expect((await fetch(`${stack.url}/healthz`)).status).toBe(200)
  expect(stack.pid).toBe(pid)
  expect(stack.logs()).not.toContain('a fault of its own')
})

describe.each([null, 2])('with retainVersions %s a push that is refused ends nothing', (retainVersions) => {
  const kind = retainVersions === null ? 'all' : 'few'
  const repositoryOf = async (name: string, settings: object = {}) => {
    const repository = `refused-${kind}/${name}`
    await make(stack, '/repositories', { name: repository, retainVersions, ...settings })
    await make(stack, '/distributions', { name: repository, basePath: repository, repository })
    return repository
  }

  test('an immutable tag that was to move', async () => {
    const repository = await repositoryOf('immutable', { immutableTags: ['v*'] })
    await pushRandomImage(berth, repository, 'v1')
    for (let times = 0; times < 3; times++)
      await expect(pushRandomImage(berth, repository, 'v1')).rejects.toThrow(/403.*DENIED.*immutable/)
    await pushRandomImage(berth, repository, 'v2')
  })

  test('a manifest that names what is not here', async () => {
    const repository = await repositoryOf('incomplete')
    const absent = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256('nowhere'), size: 7 }
    const text = JSON.stringify({ schemaVersion: 2, mediaType: imageType, config: absent, layers: [] })
    await expect(pushManifest(berth, repository, 'v1', text, imageType)).rejects.toThrow(/400.*MANIFEST_BLOB_UNKNOWN/)
  })

  test('a quota that is full', async () => {
    const name = `refused-quota-${kind}`
    await make(stack, '/namespaces', { name, quotaBytes: 30_000 })
    await make(stack, '/repositories', { name: `${name}/app`, retainVersions })
    await make(stack, '/distributions', { name: `${name}/app`, basePath: `${name}/app`, repository: `${name}/app` })
    await pushRandomImage(berth, `${name}/app`, 'v1', [20_000])
    const [first, ...others] = await Promise.allSettled(
      ['v2', 'v3', 'v4', 'v5'].map((tag) => pushRandomImage(berth, `${name}/app`, tag, [9_000])),
    )
    expect([first, ...others].filter((one) => one?.status === 'rejected').length).toBeGreaterThanOrEqual(3)
  })

  test('connections to PostgreSQL that are lost in the middle', async () => {
    const repository = await repositoryOf('lost')
    await pushRandomImage(berth, repository, 'first')
    const database = new Client({ connectionString: stack.databaseUrl })
    await database.connect()
    const pushed = new AbortController()
    const cutting = (async () => {
      while (!pushed.signal.aborted)
        await database.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle' and query not like 'listen%'`,
        )
    })()
    const pushes = Array.from({ length: 60 }, (_, index) => pushRandomImage(berth, repository, `tag-${index}`, [500]))
    await Promise.allSettled(pushes)
    pushed.abort()
    await cutting
    await database.end()
    expect((await pushRandomImage(berth, repository, 'last')).digest).toMatch(/^sha256:/)
  }, 60_000)
})
