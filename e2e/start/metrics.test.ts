import { imageOf, status } from '@berth/registry-client/misbehaving-upstream'
import { describe, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { localRemote, make, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const stack = withBerth()
const upstream = withUpstream()

/** The value of a series, 0 while there is none. */
async function metric(name: string, labels: Record<string, string> = {}): Promise<number> {
  const text = await (await fetch(`${stack.url}/metrics`)).text()
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
  const line = text
    .split('\n')
    .find((one) => one.startsWith(name) && /^[{ ]/.test(one.slice(name.length)) && wanted.every((w) => one.includes(w)))
  return Number(line?.split(' ').at(-1) ?? 0)
}

/** How much series of a metric grow while something is done. */
async function growth(name: string, label: string, values: readonly string[], work: () => Promise<void>) {
  const read = () => Promise.all(values.map((value) => metric(name, { [label]: value })))
  const before = await read()
  await work()
  return (await read()).map((value, i) => value - (before[i] ?? 0))
}

describe('metrics tell', () => {
  test('how pulls below a pull-through distribution were answered', async () => {
    const image = imageOf('proxied', 2_000)
    upstream.add('proxied/app', 'v1', image)
    await make(stack, '/remotes', { ...localRemote('hub', upstream.url, '', { retries: 0 }), upstreamName: null })
    const pullThrough = { remote: 'hub', trigger: 'anonymous', ttlSeconds: 0 }
    await make(stack, '/distributions', { name: 'hub', basePath: 'hub', access: 'public', pullThrough })
    const results = ['hit', 'miss', 'stale', 'error']
    const pulls = (work: () => Promise<void>) => growth('berth_proxy_requests_total', 'result', results, work)
    const manifest = `${stack.url}/v2/hub/proxied/app/manifests/v1`
    const layer = `${stack.url}/v2/hub/proxied/app/blobs/${image.layers[0]?.digest}`
    const get = async (url: string) => void (await (await fetch(url)).arrayBuffer())
    // What is fetched: a manifest, then a layer.
    expect(await pulls(() => get(manifest).then(() => get(layer)))).toEqual([0, 2, 0, 0])
    // A layer is kept a little after it has come.
    const digest = image.layers[0]?.digest ?? ''
    await until(
      'the layer is kept',
      async () => (await stack.api('GET', `/store/explain/${digest}`)).body.state === 'present',
    )
    // What upstream says has not moved, and what never changes.
    expect(await pulls(() => get(manifest).then(() => get(layer)))).toEqual([2, 0, 0, 0])
    upstream.when(/./, status(500))
    expect(await pulls(() => get(manifest))).toEqual([0, 0, 1, 0])
    expect(await pulls(() => get(manifest.replace('v1', 'v2')))).toEqual([0, 0, 0, 1])
    upstream.mend()
    expect(await pulls(() => get(manifest.replace('v1', 'v3')))).toEqual([0, 1, 0, 0])
    // What is no pull through counts for nothing.
    expect(await pulls(() => get(`${stack.url}/v2/nobody/app/manifests/v1`))).toEqual([0, 0, 0, 0])
  }, 60_000)

  test('how events are announced and followed, and that none was set aside', async () => {
    const labels = { service: 'catalog' }
    const before = await metric('berth_events_published_total', labels)
    const follower = { consumer: 'registry-catalog', result: 'handled' }
    const handled = await metric('berth_events_consumed_total', follower)
    await make(stack, '/repositories', { name: 'measured/app' })
    await until('it is announced', async () => (await metric('berth_events_published_total', labels)) > before)
    await until('it is followed', async () => (await metric('berth_events_consumed_total', follower)) > handled)
    await until('nothing waits', async () => (await metric('berth_outbox_pending', labels)) === 0)
    expect(await metric('berth_outbox_oldest_seconds', labels)).toBe(0)
    const text = await (await fetch(`${stack.url}/metrics`)).text()
    expect(text).toContain('berth_outbox_pending{service="tasks"}')
    expect(text).toContain('berth_dlq_size{consumer="registry-catalog"} 0')
    expect(await metric('berth_audit_behind_seconds', labels)).toBeLessThan(10)
    expect(text).toContain('berth_audit_behind_seconds{service="auth"}')
    expect(text).toContain('# TYPE berth_schedule_missed_total counter')
  })

  test('what upstreams answered, and what they still grant', async () => {
    upstream.add('granting/app', 'v1', imageOf('granting', 1_000))
    upstream.when(/HEAD /, ({ response, behave }) => {
      response.setHeader('ratelimit-remaining', '76;w=21600')
      behave()
    })
    await make(stack, '/remotes', localRemote('granting', upstream.url, 'granting/app'))
    await make(stack, '/repositories', { name: 'granting' })
    const before = upstream.seen.length
    const grown = await growth('berth_upstream_requests_total', 'code', ['200', '404', '503'], async () => {
      upstream.when(/GET .*tags\/list/, status(503), 1)
      await sync(stack, 'granting', 'granting')
    })
    expect(grown.reduce((sum, count) => sum + count, 0)).toBe(upstream.seen.length - before)
    expect(grown[2]).toBe(1)
    expect(await metric('berth_upstream_requests_total', { host_class: 'other', code: '200' })).toBeGreaterThan(0)
    expect(await metric('berth_upstream_ratelimit_remaining', { remote: 'granting' })).toBe(76)
    upstream.mend()
  }, 60_000)

  test('how syncs ended, how long they took, and when each remote was last synced', async () => {
    upstream.add('ending/app', ['v1', 'v2'], imageOf('ending', 1_000))
    upstream.add('ending/app', 'v3', imageOf('ending too', 2_000))
    const remote = localRemote('ending', upstream.url, 'ending/app', { retries: 0 })
    await make(stack, '/remotes', remote)
    await make(stack, '/repositories', { name: 'ending' })
    const results = ['completed', 'partial', 'failed', 'cancelled']
    const run = async (more: object) => {
      const { body } = await stack.api('POST', '/syncs', { repository: 'ending', remote: 'ending', ...more })
      await stack.waitForTask(body.id)
    }
    const runs = (more: object) => growth('berth_sync_runs_total', 'result', results, () => run(more))
    expect(await runs({ dryRun: true })).toEqual([0, 0, 0, 0])
    expect(await metric('berth_sync_last_success_timestamp_seconds', { remote: 'ending' })).toBe(0)
    upstream.when(/HEAD .*manifests\/v3/, status(500))
    expect(await runs({})).toEqual([0, 0, 1, 0])
    expect(await runs({ onError: 'skip' })).toEqual([0, 1, 0, 0])
    upstream.mend()
    const took = await metric('berth_sync_duration_seconds_count')
    expect(await runs({})).toEqual([1, 0, 0, 0])
    expect(await metric('berth_sync_duration_seconds_count')).toBe(took + 1)
    const at = await metric('berth_sync_last_success_timestamp_seconds', { remote: 'ending' })
    expect(Math.abs(Date.now() / 1_000 - at)).toBeLessThan(60)
    expect(await metric('berth_sync_lag_seconds', { remote: 'ending' })).toBeLessThan(60)
    // A remote that names a host only is never synced, and so it never lags.
    const text = await (await fetch(`${stack.url}/metrics`)).text()
    expect(text).not.toMatch(/berth_sync_lag_seconds\{remote="hub"\}/)
  }, 60_000)
})
