import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import {
  imageOf,
  limitRequests,
  type MisbehavingUpstream,
  redirectTo,
  requireTokens,
  startMisbehavingUpstream,
  status,
} from '@berth/registry-client/misbehaving-upstream'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { query } from '../berth/databases.ts'
import { until } from '../berth/processes.ts'
import { getManifest, localRemote, make, startSync, sync } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const stack = withBerth({ own: true, env: { BERTH_LOG_LEVEL: 'debug' } })
let upstream: MisbehavingUpstream
let issuer: MisbehavingUpstream
beforeEach(async () => {
  upstream = await startMisbehavingUpstream()
  issuer = await startMisbehavingUpstream({ host: 'localhost' })
})
afterEach(async () => {
  await upstream.close()
  await issuer.close()
})

const planted = 'pl4nted-s3cret'
const login = { username: 'reader', password: planted, tokenHosts: ['localhost'] }
let count = 0
async function makeMirror(more: object): Promise<string> {
  const name = `manners/${++count}`
  await make(stack, '/remotes', localRemote(name, upstream.url, 'library/app', more))
  await make(stack, '/repositories', { name })
  await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
  return name
}

test('at a limit like Docker Hub’s a run pauses, says so, goes on and ends right', async () => {
  const tags = Array.from({ length: 9 }, (_, i) => `v${i}`)
  const images = tags.map((tag) => imageOf(tag, 1_000))
  tags.forEach((tag, i) => upstream.add('library/app', tag, images[i] ?? imageOf(tag)))
  const limits = limitRequests(upstream, { fits: /GET .*manifests/, limit: 5, windowSeconds: 3, style: 'docker' })
  const realm = requireTokens(upstream, { issuer, login })
  const name = await makeMirror({ ...login, concurrency: 4 })
  const { id } = await startSync(stack, name, name)
  const paused: string[] = []
  const done = await until(
    'the end of the run',
    async () => {
      const { body } = await stack.api('GET', `/tasks/${id}`)
      for (const phase of body.progress) if (phase.pausedUntil) paused.push(phase.reason)
      return ['completed', 'failed'].includes(body.state) ? body : undefined
    },
    30_000,
  )
  expect(done).toMatchObject({ state: 'completed', error: null })
  expect(paused[0]).toContain('429')
  expect(limits.granted).toBe(9)
  expect(limits.refused).toBeLessThanOrEqual(4)
  // One token for each scope: the repository, and the registry as such.
  const scopes = realm.asked.map(({ scope }) => scope)
  expect(scopes).toHaveLength(new Set(scopes).size)
  for (const [i, tag] of tags.entries())
    expect(await getManifest(`${stack.url}/v2/${name}/manifests/${tag}`)).toMatchObject({
      status: 200,
      digest: images[i]?.manifest.digest,
    })
}, 60_000)

test('a remote is given up after its own timeouts, and asked no faster than it says', async () => {
  upstream.add('library/app', ['a', 'b', 'c', 'd'], imageOf('slow', 1_000))
  const name = await makeMirror({ retries: 0, timeouts: { headersSeconds: 0.3 }, rateLimit: 10, concurrency: 4 })
  const startedAt = performance.now()
  await sync(stack, name, name)
  const requests = upstream.seen.length
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual((requests - 1) * 100 - 10)
  upstream.when(/tags/, () => {})
  const { id } = await startSync(stack, name, name)
  expect(await stack.waitForTask(id, 10_000)).toMatchObject({ state: 'failed', error: { code: 'upstream_timeout' } })
}, 60_000)

test('no secret of a remote stands in the log, the database or an answer, whatever upstream does', async () => {
  upstream.add('library/app', 'latest', imageOf('secret', 1_000))
  const more = { ...login, headers: { 'x-team': planted }, retries: 0 }
  const answers: string[] = []
  const tried = async (remote: string) => {
    const task = await stack.waitForTask((await startSync(stack, remote, remote)).id)
    const checked = await stack.api('POST', `/remotes/${encodeURIComponent(remote)}/check`)
    answers.push(JSON.stringify([task, checked.body]))
    return task.state
  }
  requireTokens(upstream, { issuer, login })
  const name = await makeMirror(more)
  await sync(stack, name, name)
  for (const misbehave of [
    () => issuer.when(/token/, status(401)),
    () => issuer.when(/token/, status(200, {}, `{"token":"${planted}\\n"}`)),
    () =>
      upstream.when(
        /./,
        redirectTo(() => `http://reader:${planted}@127.0.0.1:1/x?password=${planted}`),
      ),
    () => upstream.when(/./, status(401, { 'www-authenticate': `Bearer realm="http://example.com/${planted}"` })),
    () => upstream.when(/./, status(500, {}, planted)),
  ]) {
    upstream.mend()
    requireTokens(upstream, { issuer, login })
    misbehave()
    expect(await tried(await makeMirror({ ...more, username: `reader${count}` }))).toBe('failed')
  }
  for (const list of ['/remotes', '/syncs', '/tasks']) answers.push(JSON.stringify((await stack.api('GET', list)).body))
  const hidden = [planted, btoa(`reader:${planted}`), Buffer.from(planted).toString('hex'), 'Bearer ']
  const leaks = (where: string, text: string) =>
    hidden.filter((one) => text.includes(one)).map((one) => `${where}: ${one}`)
  const logs = readdirSync(stack.home).filter((file) => file.endsWith('.log'))
  expect(logs.length).toBeGreaterThan(0)
  expect([
    ...leaks('answers', answers.join('\n')),
    ...leaks('output', stack.logs()),
    ...logs.flatMap((file) => leaks(file, readFileSync(path.join(stack.home, file), 'utf8'))),
    ...(await tables()).flatMap(({ name: table, text }) => leaks(table, text)),
  ]).toEqual([])
}, 90_000)

/** Every row of every table, as text. */
async function tables(): Promise<{ name: string; text: string }[]> {
  const url = stack.databaseUrl ?? ''
  const found = (await query(
    url,
    `select format('%I.%I', table_schema, table_name) as name from information_schema.tables
     where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`,
  )) as { name: string }[]
  const all: { name: string; text: string }[] = []
  // One after the other: each takes a connection, of which there are fewer than tables.
  for (const { name } of found) {
    const rows = (await query(url, `select t::text as text from ${name} t`)) as { text: string }[]
    all.push({ name, text: rows.map(({ text }) => text).join('\n') })
  }
  return all
}
