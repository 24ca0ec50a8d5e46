import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { Client } from 'pg'
import { query } from '../berth/databases.ts'
import { until } from '../berth/processes.ts'
import { type Pushed, pushBlob, pushManifest, pushRandomImage, send, type Target } from '../berth/push.ts'
import { basic, make, repositoryPath } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

// Twice as many rows are written by a rollback that moves all of them, which is more than is written at once.
const tagCount = 1_150
const tagsPerRequest = 46
const tagsListed = 1_000
const imageType = 'application/vnd.oci.image.manifest.v1+json'
const names = Array.from({ length: tagCount }, (_, i) => `tag-${String(i).padStart(4, '0')}`)

/** A connection on which a test holds up the writing of intervals. */
let holder: Client
afterAll(() => holder?.end())
const stack = withBerth({ own: true })
let berth: Target
let database: string

beforeAll(async () => {
  berth = { url: stack.url, authorization: basic(stack) }
  database = stack.databaseUrl as string
  holder = new Client({ connectionString: database })
  await holder.connect()
}, 90_000)
afterEach(() => holder.query('rollback'))

type Moved = { repository: string; path: string; first: Pushed; second: Pushed; full: number; moved: number }

/** A repository in which all tags were moved from one image to another. */
async function moveTags(repository: string): Promise<Moved> {
  const path = repositoryPath(repository)
  const tagAll = async () => {
    const image = await pushRandomImage(berth, repository, names[0] as string)
    for (let i = 0; i < tagCount; i += tagsPerRequest) {
      const tags = names.slice(i, i + tagsPerRequest).map((name) => `tag=${name}`)
      await pushManifest(berth, repository, `${image.digest}?${tags.join('&')}`, image.text, imageType)
    }
    return { image, version: (await stack.api('GET', path)).body.latestVersion as number }
  }
  const [first, second] = [await tagAll(), await tagAll()]
  return { repository, path, first: first.image, second: second.image, full: first.version, moved: second.version }
}

const isUnsettled = async ({ repository }: Moved) =>
  (await query(database, 'select from catalog.repository where name = $1 and content_of is not null', [repository]))
    .length > 0
const untilSettled = (moved: Moved) => until('the rollback is settled', async () => !(await isUnsettled(moved)))

/** What is served, by every way to it, is the first image under all tags, as far as they were not moved since. */
async function expectFirst({ repository, path, first }: Moved, but: Record<string, string> = {}): Promise<void> {
  const listed: string[] = []
  for (let last = ''; listed.length < tagCount; last = listed.at(-1) as string) {
    const page = await send(berth, 'GET', `/v2/${repository}/tags/list?n=${tagsListed}&last=${last}`, 200)
    listed.push(...((await page.json()) as { tags: string[] }).tags)
  }
  expect(listed).toEqual(names)
  for (const tag of [names[0], names[577], names.at(-1), ...Object.keys(but)] as string[]) {
    const { headers } = await send(berth, 'GET', `/v2/${repository}/manifests/${tag}`, 200)
    expect(headers.get('docker-content-digest')).toBe(but[tag] ?? first.digest)
  }
  for (const layer of first.layers) await send(berth, 'GET', `/v2/${repository}/blobs/${layer}`, 200)
  const { body } = await stack.api('GET', `${path}/tags?limit=1000`)
  for (const { name, digest } of body.items) expect([name, digest]).toEqual([name, but[name] ?? first.digest])
}

/** Rolls back while no tag can be written, and then keeps every transaction from writing it out. */
async function rollBackHeldUp({ path, full, repository }: Moved): Promise<number> {
  await holder.query('begin')
  await holder.query('lock table catalog.tag_interval in share mode')
  const { status, body } = await stack.api('POST', `${path}/rollback`, { version: full })
  expect({ status, body }).toMatchObject({ status: 201, body: { base: full, cause: 'rollback' } })
  const waiting = `select pid from pg_locks where not granted and relation = 'catalog.tag_interval'::regclass`
  await until('somebody settles it', async () => (await holder.query(waiting)).rows.length > 0)
  await holder.query(`select pg_cancel_backend(pid) from (${waiting}) as settling`)
  await holder.query('select from catalog.repository where name = $1 for key share', [repository])
  await holder.query('commit and chain')
  await holder.query('select from catalog.repository where name = $1 for key share', [repository])
  return body.number as number
}

test('a rollback of very many tags is served before it is written, and so it stays when it is', async () => {
  const moved = await moveTags('unsettled/served')
  const { repository, path, first, second, full } = moved
  const number = await rollBackHeldUp(moved)
  expect(await isUnsettled(moved)).toBe(true)
  await expectFirst(moved)
  await send(berth, 'GET', `/v2/${repository}/manifests/${second.digest}`, 404)
  expect((await stack.api('GET', `${path}/versions/${number}/diff?to=${full}`)).body).toMatchObject({
    from: number,
    to: full,
    counts: { tags: { added: 0, removed: 0, moved: 0 } },
  })
  expect((await stack.api('GET', `${path}/versions/${number}`)).body.counts).toMatchObject({
    present: { tags: tagCount, manifests: 1 },
    added: { tags: tagCount },
    removed: { tags: tagCount, manifests: 1 },
  })
  // A blob needs no intervals, so it does not wait for them.
  await pushBlob(berth, repository, randomBytes(100))
  expect(await isUnsettled(moved)).toBe(true)
  await expectFirst(moved)
  // Served by its own number it needs them.
  const pin = `${repository}-pinned`
  const pinning = make(stack, '/distributions', { name: pin, basePath: pin, repository, version: number })
  const isHeldUp = 'select from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid))'
  await until('the pin waits for it', async () => (await holder.query(isHeldUp)).rows.length > 0)
  await holder.query('rollback')
  await pinning
  const { headers } = await send(berth, 'GET', `/v2/${pin}/manifests/${names.at(-1)}`, 200)
  expect(headers.get('docker-content-digest')).toBe(first.digest)
  // A push finds it written out, or writes it out.
  const { digest } = await pushRandomImage(berth, repository, 'tag-0003')
  await expectFirst(moved, { 'tag-0003': digest })
  expect(await isUnsettled(moved)).toBe(false)
}, 120_000)

test('killed before it is written it is served from a model made anew, and is written after the next start', async () => {
  const moved = await moveTags('unsettled/killed')
  await rollBackHeldUp(moved)
  await stack.kill('SIGKILL')
  const model = ['pointer', 'served_tag', 'served_manifest', 'served_blob', 'served_link', 'served_repository']
  await query(database, `truncate ${model.map((table) => `registry.${table}`).join(', ')} cascade`)
  await stack.restart()
  await expectFirst(moved)
  expect(await isUnsettled(moved)).toBe(true)
  await stack.kill('SIGTERM')
  await holder.query('rollback')
  await stack.restart()
  await untilSettled(moved)
  await expectFirst(moved)
  const { rows } = await holder.query(
    `select digest, count(*)::integer from catalog.tag_interval where until is null and repository_id = (select id from catalog.repository where name = $1) group by digest`,
    [moved.repository],
  )
  expect(rows).toEqual([{ digest: moved.first.digest, count: tagCount }])
}, 120_000)

test('pulls go on while the version it goes back to is deleted, it is pinned, and it is rolled back again', async () => {
  const moved = await moveTags('unsettled/pulled')
  const { repository, path, first, second, full, moved: latest } = moved
  const seen = new Set<string | null>()
  const stopping = new AbortController()
  const pulling = (async () => {
    for (let i = 0; !stopping.signal.aborted; i++) {
      const { headers } = await send(berth, 'GET', `/v2/${repository}/manifests/${names[i % tagCount]}`, 200)
      seen.add(headers.get('docker-content-digest'))
    }
  })()
  try {
    const rollBack = async (version: number) =>
      (await stack.api('POST', `${path}/rollback`, { version })).body.number as number
    const back = await rollBack(full)
    expect((await stack.api('DELETE', `${path}/versions/${full}`)).status).toBe(204)
    await expectFirst(moved)
    const forth = await rollBack(latest)
    const pin = `${repository}-pinned`
    await make(stack, '/distributions', { name: pin, basePath: pin, repository, version: forth })
    expect(await rollBack(back)).toBe(forth + 1)
    await expectFirst(moved)
    for (const tag of [names[0], names.at(-1)]) {
      const { headers } = await send(berth, 'GET', `/v2/${pin}/manifests/${tag}`, 200)
      expect(headers.get('docker-content-digest')).toBe(second.digest)
    }
    await untilSettled(moved)
    await expectFirst(moved)
  } finally {
    stopping.abort()
    await pulling
  }
  expect(seen).toEqual(new Set([first.digest, second.digest]))
}, 120_000)
