import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Berth } from '../berth/berth.ts'
import { until } from '../berth/processes.ts'
import { expectServed } from '../berth/pushed-images.ts'
import { sync } from '../berth/requests.ts'
import { chart, renderText } from '../chart/helm.ts'
import { forwardTo } from '../compose/forward.ts'
import { type Load, startLoad } from '../compose/load.ts'
import { startDockerRegistry, type Upstream } from '../servers/upstream.ts'
import { makeCertificates } from './certificates.ts'
import { type Cluster, clusterMissing, hostAddress, startCluster } from './cluster.ts'
import { startDatabase } from './database.ts'
import { describeDryRun } from './dry-run.ts'
import { errorLines } from './error-lines.ts'
import {
  berthOf,
  chartBefore,
  deploy,
  host,
  images,
  namespace,
  podsOf,
  readyOf,
  release,
  runPod,
  values,
  withTag,
} from './release.ts'
import { describeUse, type Scene } from './use-release.ts'

const missing = clusterMissing()
const group = missing ? describe.skip : describe
const parts = ['proxy', 'auth', 'build', 'catalog', 'registry', 'sync', 'tasks']
const probe = 'berth.local/probe:1'
const patienceMs = 600_000
const noneBefore = process.env.BERTH_TEST_NO_IMAGE_BEFORE
const firstTag = noneBefore ? 'test' : 'before'
const before = noneBefore ? `with other values (not from the release before: ${noneBefore})` : 'from the release before'

// One release from its installation to its end: each test goes on from the one before it.
group(`the chart on a real Kubernetes${missing ? ` (${missing})` : ''}`, () => {
  const scene = {} as Scene
  let cluster: Cluster
  let given: ReturnType<typeof values>
  let berth: Berth
  let load: Load | undefined
  let upstream: Upstream
  let endForward: (() => Promise<void>) | undefined
  const kubectl = (...args: string[]) => cluster.kubectl(['-n', namespace, ...args])
  const imageOf = (part: string) =>
    cluster.field(namespace, `deployment/${release}-berth-${part}`, '.spec.template.spec.containers[0].image')
  const allReady = () =>
    Promise.all(
      parts.map((part) => kubectl('rollout', 'status', `deployment/${release}-berth-${part}`, '--timeout=5m')),
    )
  const natsRights = () =>
    cluster.field(
      namespace,
      `statefulset/${release}-berth-nats`,
      '.spec.template.metadata.annotations.berth/nats-rights',
    )
  const natsReady = () => kubectl('rollout', 'status', `statefulset/${release}-berth-nats`, '--timeout=5m')
  const underLoad = async (work: () => Promise<unknown>) => {
    load = startLoad(berth, { pushers: 2, pullers: 2 })
    await load.settle(3)
    await work()
    await load.settle(3)
    await load.stop()
    const { acknowledged, pulls, retried, failed } = load
    process.stderr.write(`${acknowledged.length} pushes, ${pulls} pulls, ${retried.length} tried again\n`)
    for (const said of new Set(retried.map((one) => one.replace(/^\w+ \S+ /, '')))) process.stderr.write(`  ${said}\n`)
    expect(failed).toEqual([])
    await expectServed(berth, acknowledged)
  }

  beforeAll(async () => {
    const { BERTH_TEST_IMAGE_ARCHIVE, BERTH_TEST_STAND_IN_ARCHIVE, BERTH_TEST_IMAGE_BEFORE_ARCHIVE } = process.env
    const archives = [BERTH_TEST_IMAGE_ARCHIVE, BERTH_TEST_STAND_IN_ARCHIVE, BERTH_TEST_IMAGE_BEFORE_ARCHIVE]
    cluster = startCluster(archives.filter((archive) => archive !== undefined))
    upstream = await startDockerRegistry()
    endForward = await forwardTo(hostAddress, Number(new URL(upstream.url).port))
    await cluster.apply({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
    })
    given = values(await startDatabase(cluster, `${images.standIn}:latest`))
  }, 1_200_000)
  afterAll(async () => {
    await load?.stop()
    await endForward?.()
    await upstream?.stop()
    cluster?.stop()
  }, 120_000)

  test(
    'it installs, two pods of each, and says what to do next',
    async () => {
      const startedAt = Date.now()
      const from = noneBefore ? chart : chartBefore('/tmp/berth-k8s-test/before')
      const notes = await deploy(cluster, 'install', withTag(given, firstTag), from)
      process.stderr.write(`all pods of the chart were ready after ${Math.round((Date.now() - startedAt) / 1_000)} s\n`)
      expect(notes).toContain(`helm test ${release}`)
      berth = await berthOf(cluster)
      Object.assign(scene, { cluster, berth, upstream })
      for (const part of parts) expect([part, await readyOf(cluster, part)]).toEqual([part, 2])
      expect(await cluster.helm(['test', release, '-n', namespace, '--logs'])).toContain('this Berth works')
    },
    patienceMs,
  )

  test('services log in to PostgreSQL as a user who makes no tables', async () => {
    const psql = (statement: string) =>
      cluster.kubectl([
        '-n',
        'database',
        'exec',
        'deploy/postgresql',
        '--',
        'psql',
        '-Atq',
        '-U',
        'owner',
        'berth',
        '-c',
        statement,
      ])
    const users = await psql("select distinct usename from pg_stat_activity where application_name like 'berth-%'")
    expect(users.trim()).toBe('services')
    expect(await psql("select count(*) from pg_tables where tableowner = 'services'")).toBe('0')
  })

  describeUse(scene)
  describeDryRun(scene)

  test(
    `an upgrade ${before} fails no request that a client tries again, and so does the way back`,
    async () => {
      await underLoad(async () => {
        await deploy(cluster, 'upgrade', { ...given, commonAnnotations: { round: 'two' } })
        await allReady()
        await natsReady()
      })
      expect(await natsRights()).toMatch(/^[0-9a-f]{12}$/)
      expect(await errorLines(cluster)).toEqual([])
      expect(await imageOf('registry')).toBe(`${images.berth}:test`)
      await underLoad(async () => {
        await cluster.helm(['rollback', release, '1', '-n', namespace, '--wait', '--timeout', '5m'])
        await allReady()
        await natsReady()
      })
      expect(await imageOf('registry')).toBe(`${images.berth}:${firstTag}`)
      expect(await errorLines(cluster)).toEqual([])
      await deploy(cluster, 'upgrade', given)
      await natsReady()
    },
    patienceMs,
  )

  test(
    'a restart of every service fails no request that a client tries again',
    async () => {
      await underLoad(async () => {
        await kubectl('rollout', 'restart', ...parts.map((part) => `deployment/${release}-berth-${part}`))
        await allReady()
      })
      expect(await errorLines(cluster)).toEqual([])
    },
    patienceMs,
  )

  test(
    'an emptied node keeps one pod of each until there is room for others',
    async () => {
      const node = await cluster.kubectl(['get', 'nodes', '-o', 'jsonpath={.items[0].metadata.name}'])
      const evict = (name: string) =>
        cluster
          .kubectl(['create', '--raw', `/api/v1/namespaces/${namespace}/pods/${name}/eviction`, '-f', '-'], {
            input: JSON.stringify({ apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } }),
          })
          .then(
            () => 'gone',
            (error: { stderr?: string }) => error.stderr ?? '',
          )
      // The load of the test before may have brought a third one.
      await until('registry has two pods', async () => (await readyOf(cluster, 'registry')) === 2, 240_000)
      await cluster.kubectl(['cordon', node])
      try {
        for (const part of parts) {
          const [first = '', second = ''] = await podsOf(cluster, part)
          expect([part, await evict(first)]).toEqual([part, 'gone'])
          await until(`${part} has one pod`, async () => (await readyOf(cluster, part)) === 1, 60_000)
          expect([part, await evict(second)]).toEqual([part, expect.stringContaining('disruption budget')])
        }
        await expectServed(berth, load?.acknowledged ?? [])
      } finally {
        await cluster.kubectl(['uncordon', node])
      }
      await allReady()
    },
    patienceMs,
  )

  test(
    'under load there are more pods of registry, and fewer when it is over',
    async () => {
      const name = `hpa/${release}-berth-registry`
      const wanted = async () => Number(await cluster.field(namespace, name, '.status.desiredReplicas'))
      load = startLoad(berth, { pushers: 8, pullers: 8 })
      await until('there are more', async () => (await wanted()) > 2, 300_000)
      await load.stop()
      expect(load.failed).toEqual([])
      await until('there are fewer', async () => (await wanted()) === 2, 240_000)
      await expectServed(berth, load.acknowledged)
    },
    patienceMs,
  )

  test('pods reach what they ask and nothing else', async () => {
    const at = (service: string, port: number) => `http://${release}-berth-${service}:${port}/healthz`
    const reaches = async (url: string, labels: object) =>
      (await runPod(cluster, 'asks', probe, ['wait', url, '8'], { labels })).isWell
    const stranger = { app: 'stranger' }
    expect(await reaches(`http://${release}-berth-proxy/healthz`, stranger)).toBe(true)
    for (const [service, port] of [
      ['catalog', 8080],
      ['catalog', 9100],
      ['nats', 8222],
    ] as const)
      expect([service, port, await reaches(at(service, port), stranger)]).toEqual([service, port, false])
    const ask = (from: string, url: string) =>
      kubectl('exec', `deploy/${release}-berth-${from}`, '--', 'wget', '-q', '-T', '5', '-O', '-', url).then(
        () => 'answered',
        (error: { stderr?: string }) => (/HTTP\/1.1 [45]/.test(error.stderr ?? '') ? 'answered' : 'closed'),
      )
    // Registry asks catalog and auth; it does not ask tasks.
    expect(await ask('registry', `http://${release}-berth-catalog:9100/`)).toBe('answered')
    expect(await ask('registry', `http://${release}-berth-tasks:9100/`)).toBe('closed')
    expect(await ask('registry', `http://${hostAddress}:${new URL(upstream.url).port}/v2/`)).toBe('closed')
    expect(await ask('sync', `http://${hostAddress}:${new URL(upstream.url).port}/v2/`)).toBe('answered')
  }, 180_000)

  test('the chart is an artifact in Berth, and is installed from it', async () => {
    const [packed = ''] =
      (await cluster.helm(['package', chart, '-d', '/tmp/berth-k8s-test'])).match(/\/\S+\.tgz/) ?? []
    await cluster.helm(['registry', 'login', host, '--insecure', '-u', 'admin', '--password-stdin', '--plain-http'], {
      input: berth.password,
    })
    await cluster.helm(['push', packed, `oci://${host}/charts`, '--plain-http'])
    const shown = await cluster.helm([
      'show',
      'chart',
      `oci://${host}/charts/berth`,
      '--version',
      '0.1.0',
      '--plain-http',
    ])
    expect(shown).toContain('name: berth')
    const flags = [
      '--namespace',
      namespace,
      '--values',
      '-',
      '--version',
      '0.1.0',
      '--plain-http',
      '--wait',
      '--timeout',
      '5m',
    ]
    await cluster.helm(['upgrade', release, `oci://${host}/charts/berth`, ...flags], { input: JSON.stringify(given) })
  }, 180_000)

  test(
    'what an uninstallation leaves is found by the next installation, whose services ask each other by https',
    async () => {
      const [kept] = load?.acknowledged ?? []
      expect(await errorLines(cluster)).toEqual([])
      await cluster.helm(['uninstall', release, '-n', namespace, '--wait', '--timeout', '3m'])
      // Helm waits for what it has made itself; pods end behind their deployments, once they have drained.
      await until('no pod is left', async () => (await podsOf(cluster, 'registry')).length === 0, 120_000)
      await deploy(cluster, 'install', { ...given, ...(await makeCertificates(cluster)) })
      expect(await berthOf(cluster)).toMatchObject({ password: berth.password })
      await expectServed(berth, kept ? [kept] : [])
      expect(await cluster.helm(['test', release, '-n', namespace])).toContain('Succeeded')
      const ask = (url: string) =>
        kubectl('exec', `deploy/${release}-berth-registry`, '--', 'wget', '-q', '-T', '5', '-O', '-', url).catch(
          ({ stderr = '' }: { stderr?: string }) => stderr,
        )
      expect(await ask(`http://${release}-berth-catalog:9100/`)).not.toMatch(/HTTP\/1.1 \d/)
      await sync(berth, 'mirror/probe', 'upstream')
      expect(await errorLines(cluster)).toEqual([])
    },
    patienceMs,
  )

  test('a secret that does not exist, and a database that does not, are said in one line', async () => {
    const postgresql = { external: { host: 'nowhere.invalid', existingSecret: 'absent' } }
    const { stdout: text } = renderText({ ...given, postgresql }, ['--show-only', 'templates/services.yaml'])
    await cluster.kubectl(['-n', namespace, 'apply', '-f', '-'], { input: text })
    const told = await until(
      'an event says it',
      async () => {
        const events = await kubectl('get', 'events', '-o', 'jsonpath={.items[*].message}')
        return /secret "absent" not found/.exec(events)?.[0]
      },
      60_000,
    )
    expect(told).toBe('secret "absent" not found')
  }, 120_000)
})
