import { beforeAll, expect, test } from '@jest/globals'
import { query } from '../berth/databases.ts'
import { type Pushed, pushRandomImage, send, type Target } from '../berth/push.ts'
import { basic, repositoryPath } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const model = [
  'pointer',
  'served_tag',
  'served_manifest',
  'served_blob',
  'served_link',
  'served_signature',
  'manifest_facts',
  'blob_facts',
  'served_repository',
]
const stack = withBerth({ own: true })
let berth: Target
let damaged: Pushed
let sound: Pushed

beforeAll(async () => {
  berth = { url: stack.url, authorization: basic(stack) }
  damaged = await pushRandomImage(berth, 'rebuild/damaged', 'v1', [2_000, 3_000])
  sound = await pushRandomImage(berth, 'rebuild/sound', 'v1')
}, 90_000)

const pull = (repository: string, tag: string) => send(berth, 'GET', `/v2/${repository}/manifests/${tag}`, 200)
async function pullAll(repository: string, { digest, layers }: Pushed): Promise<void> {
  expect((await pull(repository, 'v1')).headers.get('docker-content-digest')).toBe(digest)
  for (const layer of layers) await send(berth, 'GET', `/v2/${repository}/blobs/${layer}`, 200)
}

/** Pulls again and again while something else is done; every one of them must succeed. */
async function whilePulling(repository: string, work: () => Promise<void>): Promise<number> {
  let pulls = 0
  const done = new AbortController()
  const pulling = (async () => {
    while (!done.signal.aborted) {
      await pull(repository, 'v1')
      pulls++
    }
  })()
  try {
    await work()
  } finally {
    done.abort()
  }
  await pulling
  return pulls
}

test('what is served of one repository is written anew, while another is pulled from', async () => {
  const database = stack.databaseUrl as string
  const [row] = (await query(database, 'select id from catalog.repository where name = $1', ['rebuild/damaged'])) as {
    id: string
  }[]
  const pulls = await whilePulling('rebuild/sound', async () => {
    for (const table of ['served_tag', 'served_manifest', 'served_blob', 'served_link'])
      await query(database, `delete from registry.${table} where repository_id = $1`, [row?.id])
    await send(berth, 'GET', `/v2/rebuild/damaged/manifests/v2`, 404)
    expect(await stack.api('POST', `${repositoryPath('rebuild/damaged')}/rebuild`)).toMatchObject({ status: 204 })
    await pullAll('rebuild/damaged', damaged)
  })
  expect(pulls).toBeGreaterThan(0)
  await pullAll('rebuild/sound', sound)
})

test('with its whole model dropped the registry comes up with all of it again', async () => {
  await stack.kill('SIGTERM')
  await query(stack.databaseUrl as string, `truncate ${model.map((table) => `registry.${table}`).join(', ')} cascade`)
  await stack.restart()
  await pullAll('rebuild/damaged', damaged)
  await pullAll('rebuild/sound', sound)
  await pushRandomImage(berth, 'rebuild/damaged', 'v2')
  await pull('rebuild/damaged', 'v2')
})

test('after rollbacks to any version the model is what catalog has, interval by interval', async () => {
  const repository = 'rebuild/rolled-back'
  const path = repositoryPath(repository)
  let state = Number(process.env.BERTH_TEST_SEED ?? 20_261_122)
  const random = (below: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return state % below
  }
  for (let i = 0; i < 6; i++) await pushRandomImage(berth, repository, `v${i}`)
  const latest = async () => (await stack.api('GET', path)).body.latestVersion as number
  for (let i = 0; i < 30; i++) {
    const kind = random(3)
    if (kind === 0) await pushRandomImage(berth, repository, `v${random(6)}`)
    else if (kind === 1) await stack.api('DELETE', `${path}/tags/v${random(6)}`)
    else await stack.api('POST', `${path}/rollback`, { version: random((await latest()) + 1) })
    expect(await differences(repository)).toEqual([])
  }
}, 60_000)

/** Rows that only one of the two has. */
async function differences(repository: string): Promise<unknown[]> {
  const kinds = [
    ['tag', 'name, digest'],
    ['manifest', 'digest'],
    ['blob', 'digest'],
  ] as const
  const found: unknown[] = []
  for (const [kind, columns] of kinds) {
    const rows = (table: string) =>
      `select ${columns}, since, until from ${table} where repository_id = (select id from catalog.repository where name = $1) and (until is null or until > since)`
    const [ours, theirs] = [rows(`registry.served_${kind}`), rows(`catalog.${kind}_interval`)]
    const text = `((${ours}) except (${theirs})) union all ((${theirs}) except (${ours}))`
    found.push(...(await query(stack.databaseUrl as string, text, [repository])))
  }
  return found
}
