import { readdirSync, readFileSync } from 'node:fs'
import { callers } from '@berth/commands'
import { publicRoutes, serviceNames } from '@berth/standalone/origin'
import { describe, expect, test } from '@jest/globals'
import yaml from 'js-yaml'
import { chart, helmMissing, type KubernetesObject, lint, render, renderText } from './helm.ts'
import { createSchemaCheck, schemasMissing } from './kubernetes-schemas.ts'
import { refusedSets, valueSets } from './value-sets.ts'

const external = valueSets['a database of theirs and a volume'] as object
const file = (name: string) => yaml.load(readFileSync(`${chart}/files/${name}`, 'utf8'))
const ofKind = (objects: KubernetesObject[], kind: string) => objects.filter((object) => object.kind === kind)
const component = (object: KubernetesObject) => object.metadata.labels['app.kubernetes.io/component']

const byText = (one = '', other = '') => one.localeCompare(other)

/** What pods are made of, wherever it stands. */
function podsOf(objects: KubernetesObject[]) {
  return objects.flatMap((object) => {
    const pod = object.kind === 'Pod' ? object : (object.spec?.jobTemplate?.spec ?? object.spec)?.template
    return pod?.spec?.containers ? [{ owner: `${object.kind} ${object.metadata.name}`, pod }] : []
  })
}

/** Whether a pod runs what users send, for which it needs more than others may. */
const isBuilding = ({ pod }: { pod: { spec: { containers: { env?: { name: string }[] }[] } } }) =>
  pod.spec.containers.some(({ env = [] }) => env.some(({ name }) => name === 'BERTH_BUILD_DIR'))

const group = helmMissing ? describe.skip : describe

group(`the chart${helmMissing ? ` (skipped: ${helmMissing})` : ''}`, () => {
  describe.each(Object.entries(valueSets))('with %s', (_, values) => {
    const objects = helmMissing ? [] : render(values)
    const pods = podsOf(objects)

    test('has one object of each name, with the labels that tools look for', () => {
      const names = objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`)
      expect(names).toEqual([...new Set(names)])
      for (const object of objects.filter(({ metadata }) => metadata.name.startsWith('hub-berth')))
        expect([object.metadata.name, object.metadata.labels]).toEqual([
          object.metadata.name,
          expect.objectContaining({
            'app.kubernetes.io/name': 'berth',
            'app.kubernetes.io/instance': 'hub',
            'app.kubernetes.io/managed-by': 'Helm',
          }),
        ])
    })

    test('runs nothing that the restricted level of pod security refuses, but for what builds', () => {
      for (const { owner, pod } of pods.filter((one) => !isBuilding(one))) {
        const { securityContext: security, automountServiceAccountToken: token, containers } = pod.spec
        expect([owner, security]).toEqual([
          owner,
          expect.objectContaining({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }),
        ])
        // The job that makes keys is the only one that asks Kubernetes.
        expect([owner, token]).toEqual([owner, pod.metadata.labels['app.kubernetes.io/component'] === 'keys'])
        for (const { securityContext } of containers)
          expect([owner, securityContext]).toEqual([
            owner,
            {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              runAsNonRoot: true,
              capabilities: { drop: ['ALL'] },
            },
          ])
      }
    })

    test('bounds the memory of all, and asks those that serve whether they are well', () => {
      for (const { owner, pod } of pods)
        for (const container of pod.spec.containers) {
          expect([owner, container.resources.limits.memory]).toEqual([owner, expect.any(String)])
          expect([owner, container.resources.requests]).toEqual([
            owner,
            { cpu: expect.anything(), memory: expect.any(String) },
          ])
          if (!/^(Job|CronJob|Pod) /.test(owner))
            expect([owner, container.readinessProbe]).toEqual([owner, expect.any(Object)])
        }
    })

    test('takes every image from the one list, with a version', () => {
      const listed = yaml.load(readFileSync(`${chart}/values.yaml`, 'utf8')) as {
        images: Record<string, { repository: string }>
      }
      const names = Object.values(listed.images).map(({ repository }) => repository.replace(/^[^/]*\.[^/]*\//, ''))
      for (const { owner, pod } of pods)
        for (const { image } of pod.spec.containers as { image: string }[]) {
          expect([owner, names.some((name) => image.includes(name))]).toEqual([owner, true])
          expect([owner, image]).toEqual([owner, expect.stringMatching(/:[^:]+$/)])
          expect(image).not.toMatch(/:latest$/)
        }
    })

    test('has selectors that find their pods, and budgets that let a node be emptied', () => {
      for (const object of objects.filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet'))
        expect(object.spec.template.metadata.labels).toMatchObject(object.spec.selector.matchLabels)
      const replicas = new Map(
        ofKind(objects, 'Deployment').map((one) => [
          component(one),
          one.spec.replicas ?? scaledFrom(objects, component(one)),
        ]),
      )
      for (const budget of ofKind(objects, 'PodDisruptionBudget').filter((one) => component(one) !== 'nats'))
        expect(replicas.get(component(budget))).toBeGreaterThan(1)
    })
  })

  test('what builds runs as no one in particular too, and may make namespaces; without builds nothing may', () => {
    const building = Object.entries(valueSets).flatMap(([name, values]) =>
      podsOf(render(values))
        .filter(isBuilding)
        .map(({ pod }) => ({ name, pod })),
    )
    expect(building.map(({ name }) => name)).toEqual(['builds'])
    const [{ spec } = { spec: {} as never }] = building.map(({ pod }) => pod)
    expect(spec.securityContext).toMatchObject({ runAsUser: 10001, seccompProfile: { type: 'Unconfined' } })
    const [{ securityContext, image, env }] = spec.containers
    expect(securityContext).toEqual({
      privileged: true,
      allowPrivilegeEscalation: true,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
    })
    expect(image).toMatch(/^berth-build:/)
    const told = env.map(({ name }: { name: string }) => name)
    expect(told).toEqual(
      expect.arrayContaining(['BERTH_BUILDS', 'BERTH_BUILD_DIR', 'BERTH_S3_BUCKET', 'BERTH_SECRETS_KEY']),
    )
  })

  test.each(['demo', 'a bucket', 'gateway'])(
    'renders the same each time, also as an upgrade, and lints with %s',
    (name) => {
      const values = valueSets[name] as object
      expect(renderText(values).stdout).toBe(renderText(values).stdout)
      expect(render(values, ['--is-upgrade']).length).toBeGreaterThan(0)
      expect(lint(valueSets[name] as object)).toMatchObject({
        status: 0,
        stdout: expect.stringContaining('0 chart(s) failed'),
      })
    },
  )

  test.each(refusedSets)('refuses %s', (_, values, said) => {
    const { status, stderr } = renderText(values)
    expect([status, stderr]).toEqual([1, expect.stringContaining(said)])
  })

  const schemas = schemasMissing ? test.skip : test
  schemas(`makes objects as Kubernetes has them${schemasMissing ? ` (skipped: ${schemasMissing})` : ''}`, () => {
    const check = createSchemaCheck()
    const faults = Object.entries(valueSets).flatMap(([name, values]) =>
      render(values).flatMap((object) => check(object).map((fault) => `${name}: ${fault}`)),
    )
    expect(faults).toEqual([])
    const broken = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'x', labels: {} }, spec: { prots: [] } }
    expect(check(broken)).toEqual([expect.stringContaining('prots')])
  })

  test('routes each public prefix to its service, and nothing internal', () => {
    const routes = publicRoutes.map(([prefix, service]) => ({ prefix, service }))
    expect(file('routes.yaml')).toEqual({ routes })
    const ingress = ofKind(render(valueSets.ingress as object), 'Ingress')[0]
    const paths = ingress?.spec.rules[0].http.paths
    expect(paths).toEqual(
      routes.map(({ prefix, service }) => ({
        path: prefix,
        pathType: 'Prefix',
        backend: { service: { name: `hub-berth-${service}`, port: { name: 'http' } } },
      })),
    )
    const rules = ofKind(render(valueSets.gateway as object), 'HTTPRoute')[0]?.spec.rules
    expect(
      rules
        .flatMap((rule: KubernetesObject) => rule.matches.map((match: KubernetesObject) => match.path.value))
        .toSorted(byText),
    ).toEqual(routes.map(({ prefix }) => prefix).toSorted(byText))
    expect(rules.length).toBeLessThanOrEqual(16)
    const proxy = ofKind(render(external), 'ConfigMap').find((one) => component(one) === 'proxy')?.data['nginx.conf']
    for (const { prefix, service } of routes)
      expect(proxy).toMatch(new RegExp(`location ${prefix}/ \\{\\s+proxy_pass http://hub-berth-${service}:8080;`))
    expect(proxy).not.toMatch(/internal|metrics|9100/)
  })

  test('lets exactly those services ask each other that the commands allow', () => {
    // What every service answers to those that collect is among them.
    const allowed = Object.fromEntries(
      Object.entries(callers).map(([service, commands]) => [
        service,
        [...new Set(Object.values(commands).flat())].toSorted(byText),
      ]),
    )
    expect(file('arrows.yaml')).toEqual(allowed)
    const policies = ofKind(render(external), 'NetworkPolicy')
    const partsOf = (peers: KubernetesObject[] = []) =>
      peers.map((peer) => peer.podSelector.matchLabels['app.kubernetes.io/component']).toSorted(byText)
    const internal = (rules: KubernetesObject[]) =>
      rules.filter((rule) => rule.ports?.some((one: KubernetesObject) => one.port === 'internal'))
    for (const service of serviceNames) {
      const policy = policies.find((one) => component(one) === service)
      expect([service, internal(policy?.spec.ingress).flatMap((rule) => partsOf(rule.from))]).toEqual([
        service,
        allowed[service],
      ])
      const asked = Object.entries(allowed).filter(([, by]) => by.includes(service))
      expect([
        service,
        internal(policy?.spec.egress)
          .flatMap((rule) => partsOf(rule.to))
          .toSorted(byText),
      ]).toEqual([service, asked.map(([name]) => name).toSorted(byText)])
    }
    // Each pod of the release is in one, and none is in two.
    const pods = podsOf(render(external)).map(({ pod }) => pod.metadata.labels['app.kubernetes.io/component'])
    expect(policies.map(component).toSorted(byText)).toEqual([...new Set(pods)].toSorted(byText))
  })

  test('lets every service send traces where they are wanted, and to no such port otherwise', () => {
    const portsOf = (values: object) =>
      ofKind(render(values), 'NetworkPolicy')
        .filter((policy) => serviceNames.some((name) => name === component(policy)))
        .map(({ spec }) => spec.egress.filter((rule: KubernetesObject) => rule.ports?.[0].port === 4318).length)
    expect(portsOf(valueSets.traces as object)).toEqual(serviceNames.map(() => 1))
    expect(portsOf(external)).toEqual(serviceNames.map(() => 0))
    const registry = podsOf(render(valueSets.traces as object)).find(({ owner }) => owner.endsWith('-registry'))
    // A share that Helm would write as 1e-05.
    expect(registry?.pod.spec.containers[0].env).toContainEqual({ name: 'BERTH_TRACE_RATIO', value: '0.000010' })
  })

  test.each([[], null])('opens no way to everybody where the pods of DNS are %j: port 53 alone', (dns) => {
    const values = { ...external, networkPolicy: { egress: { dns } } }
    const rules = ofKind(render(values), 'NetworkPolicy').flatMap(({ spec }) => spec.egress)
    // No rule has neither ports nor peers, which Kubernetes reads as all of them.
    for (const rule of rules) expect(Boolean(rule.ports?.length || rule.to?.length)).toBe(true)
    expect(rules.filter((rule) => 'to' in rule && !rule.to?.length)).toEqual([])
  })

  test('a client of the proxy cannot choose its address: only named load balancers are believed', () => {
    const configOf = (values: object) =>
      ofKind(render(values), 'ConfigMap').find((one) => component(one) === 'proxy')?.data['nginx.conf']
    const lines = (config: string) => config.match(/^.*(?:X-Forwarded-For|real_ip).*;$/gm)?.map((line) => line.trim())
    expect(lines(configOf(external))).toEqual(['proxy_set_header X-Forwarded-For $remote_addr;'])
    expect(lines(configOf(valueSets['a load balancer'] as object))).toEqual([
      'proxy_set_header X-Forwarded-For $remote_addr;',
      'set_real_ip_from 10.1.0.0/24;',
      'set_real_ip_from fd00::1;',
      'real_ip_header X-Forwarded-For;',
      'real_ip_recursive on;',
    ])
  })

  test.each([
    ['a database of theirs and a volume', '10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7'],
    ['ingress', '10.244.0.0/16'],
  ])(
    'services believe the proxy wherever its pod is, or the controllers that values name: with %s',
    (name, networks) => {
      const registry = podsOf(render(valueSets[name] as object)).find(({ owner }) => owner.endsWith('-registry'))
      expect(registry?.pod.spec.containers[0].env).toContainEqual({ name: 'BERTH_TRUSTED_PROXIES', value: networks })
    },
  )

  test('the proxy has the labels, the budget and the port that values name', () => {
    const ofProxy = render(valueSets['a load balancer'] as object).filter((one) => component(one) === 'proxy')
    const spec = (kind: string) => ofKind(ofProxy, kind)[0]?.spec
    expect(spec('Deployment').template.metadata.labels).toMatchObject({ mesh: 'off', team: 'edge' })
    expect(spec('PodDisruptionBudget').maxUnavailable).toBe('50%')
    expect(spec('Service')).toMatchObject({ externalTrafficPolicy: 'Local', ports: [{ nodePort: 30443 }] })
  })

  test('monitoring finds its objects by their labels, whatever annotations all objects have', () => {
    const labels = { release: 'prom' }
    const metrics = {
      serviceMonitor: { enabled: true, labels },
      rules: { enabled: true, labels },
      dashboards: { enabled: true },
    }
    const values = valueSets['alerts and dashboards'] as object
    const objects = render({
      ...values,
      metrics,
      commonAnnotations: { owner: 'us' },
      commonLabels: { release: 'other' },
    })
    for (const kind of ['ServiceMonitor', 'PrometheusRule'])
      expect(ofKind(objects, kind)[0]?.metadata).toMatchObject({ labels, annotations: { owner: 'us' } })
    const dashboards = objects.find((one) => component(one) === 'dashboards')?.metadata
    expect(dashboards).toMatchObject({ labels: { grafana_dashboard: '1' }, annotations: { owner: 'us' } })
  })

  test.each([
    ['replicas count as the least', { replicas: 3 }, [3, 6]],
    ['more replicas than the most raise it', { replicas: 9 }, [9, 9]],
    ['a least number above the most raises it', { autoscaling: { min: 9 } }, [9, 9]],
    ['both may be said', { replicas: 3, autoscaling: { min: 3, max: 4 } }, [3, 4]],
  ])('where pods are scaled %s', (_, registry, expected) => {
    const objects = render({ ...external, services: { registry } })
    const { minReplicas, maxReplicas } = ofKind(objects, 'HorizontalPodAutoscaler')[0]?.spec ?? {}
    expect([minReplicas, maxReplicas]).toEqual(expected)
  })

  test('a budget of no pod at all is kept', () => {
    const objects = render({ ...external, services: { auth: { pdb: { maxUnavailable: 0 } } } })
    const budget = ofKind(objects, 'PodDisruptionBudget').find((one) => component(one) === 'auth')
    expect(budget?.spec.maxUnavailable).toBe(0)
  })

  test.each(['service', 'ingress'])('with %s Prometheus and those in front reach services, and nobody else', (type) => {
    const { networkPolicy } = valueSets['closed networks'] as { networkPolicy: Record<string, object[]> }
    const objects = render({
      ...external,
      networkPolicy,
      trustedProxies: ['10.244.0.0/16'],
      expose: { type },
      metrics: { serviceMonitor: { enabled: true } },
    })
    for (const service of serviceNames) {
      const policy = ofKind(objects, 'NetworkPolicy').find((one) => component(one) === service)
      const rule = policy?.spec.ingress.find((one: KubernetesObject) => one.ports[0].port === 'http')
      const peers = rule.from.filter((peer: object) => !('podSelector' in peer))
      // Those in front of the proxy of the chart go through it, for services believe what it says of its clients.
      const inFront = type === 'service' ? [] : networkPolicy.ingressFrom
      expect(peers).toEqual([...(inFront ?? []), ...(networkPolicy.metricsFrom ?? [])])
    }
  })

  test('names and labels that are numbers are still texts', () => {
    const n = '4711'
    const sets = [
      {
        keys: { existingSecret: n },
        auth: { adminExistingSecret: n },
        nats: { bundled: { storageClass: n } },
        storage: { filesystem: { existingClaim: n } },
        extraCaCerts: { existingConfigMap: n },
        metrics: { serviceMonitor: { enabled: true } },
        networkPolicy: { metricsFrom: [{ podSelector: {} }] },
      },
      {
        storage: { filesystem: { storageClass: n } },
        trustedProxies: ['10.244.0.0/16'],
        expose: { type: 'ingress', ingress: { className: n, tlsSecretName: n } },
      },
      { storage: { type: 's3', s3: { endpoint: 'https://s3', bucket: n, existingSecret: n } }, priorityClassName: n },
    ]
    for (const values of sets) {
      const database = { postgresql: { external: { host: 'db', existingSecret: n } } }
      const text = JSON.stringify(render({ ...external, ...database, ...values }, ['--namespace', n], n))
      expect(text).not.toMatch(/[:[,]4711[,}\]]/)
      expect(text).toContain('"app.kubernetes.io/instance":"4711"')
    }
  })

  test('the Job that makes keys reaches API servers at the ports that values name', () => {
    const portsOf = (values: object) =>
      ofKind(render(values), 'NetworkPolicy').find((one) => component(one) === 'keys')?.spec.egress[0].ports
    expect(portsOf(external)).toEqual([{ port: 443 }, { port: 6443 }])
    const networkPolicy = { egress: { kubernetesPorts: [16443] } }
    expect(portsOf({ ...external, networkPolicy })).toEqual([{ port: 16443 }])
  })

  test('an origin that is an address of IPv6 is served by the proxy', () => {
    const externalURL = 'https://[2001:db8::1]:8443'
    const registry = podsOf(render({ ...external, externalURL })).find(({ owner }) => owner.endsWith('-registry'))
    expect(registry?.pod.spec.containers[0].env).toContainEqual({ name: 'BERTH_EXTERNAL_URL', value: externalURL })
  })

  test('changes schemas before an upgrade, and once at an installation', () => {
    const jobOf = (objects: KubernetesObject[]) => ofKind(objects, 'Job').find((one) => component(one) === 'migrate')
    expect(jobOf(render(external))?.metadata.annotations).toBeUndefined()
    expect(jobOf(render(external, ['--is-upgrade']))?.metadata.annotations).toMatchObject({
      'helm.sh/hook': 'pre-upgrade',
    })
    // A Job cannot be changed: what differs has another name.
    const other = { ...external, images: { berth: { repository: 'other/berth', tag: '2' } } }
    expect(jobOf(render(other))?.metadata.name).not.toBe(jobOf(render(external))?.metadata.name)
  })

  test('NATS starts again when its users may do something else, and waits for the users of its release', () => {
    const { rights } = file('nats-rights.yaml') as { rights: string }
    const natsOf = (values: object) => podsOf(render(values)).find(({ owner }) => owner.startsWith('StatefulSet'))?.pod
    const usersOf = (values: object) =>
      natsOf(values).spec.volumes.find(({ name }: { name: string }) => name === 'users').secret
    // A key that is not there yet holds the pod back.
    expect(usersOf(external)).toEqual({
      secretName: 'hub-berth-keys',
      items: [{ key: `nats-users-${rights}.conf`, path: 'nats-users.conf' }],
    })
    expect(usersOf({ ...external, keys: { existingSecret: 'keys' } })).toEqual({
      secretName: 'keys',
      items: [{ key: 'nats-users.conf', path: 'nats-users.conf' }],
    })
    // Nothing else in the pod depends on the release.
    const other = { ...external, images: { berth: { tag: 'other' } } }
    expect(natsOf(other)).toEqual(natsOf(external))
    const { labels } = natsOf(external).metadata
    for (const label of ['app.kubernetes.io/version', 'helm.sh/chart']) expect(labels).not.toHaveProperty([label])
    for (const values of [external, { ...external, keys: { existingSecret: 'keys' } }])
      expect(natsOf(values).metadata.annotations).toMatchObject({ 'berth/nats-rights': rights })
    const keys = ofKind(render(external), 'Job').find((one) => component(one) === 'keys')
    expect(keys?.spec.template.metadata.annotations).toEqual({ 'berth/nats-rights': rights })
  })

  test('brings the alerts and dashboards as they are in deploy/monitoring', () => {
    const objects = render(valueSets['alerts and dashboards'] as object)
    const monitoring = new URL('../../deploy/monitoring/', import.meta.url)
    const rules = readFileSync(new URL('rules.yaml', monitoring), 'utf8')
    const pages = rules.replaceAll('runbook_url: ', 'runbook_url: https://git.example.com/')
    expect(ofKind(objects, 'PrometheusRule')[0]?.spec).toEqual(yaml.load(pages))
    const dashboards = objects.find((one) => component(one) === 'dashboards')?.data
    const names = readdirSync(new URL('dashboards', monitoring))
    expect(Object.keys(dashboards).toSorted(byText)).toEqual(names.toSorted(byText))
    for (const name of names)
      expect(JSON.parse(dashboards[name])).toEqual(
        JSON.parse(readFileSync(new URL(`dashboards/${name}`, monitoring), 'utf8')),
      )
  })

  test('takes the values that the how-to begins with', () => {
    const page = readFileSync(new URL('../../docs/how-to/install-on-kubernetes.md', import.meta.url), 'utf8')
    const [, values = ''] = /```yaml values\n([^`]+)```/.exec(page) ?? []
    expect(ofKind(render(yaml.load(values) as object), 'Ingress')[0]?.spec.rules[0].host).toBe('registry.example.com')
  })

  test('uses another registry for all images where one is set', () => {
    const images = podsOf(render(valueSets['an air gap'] as object)).flatMap(({ pod }) =>
      pod.spec.containers.map(({ image }: { image: string }) => image),
    )
    for (const image of images) expect(image).toMatch(/^mirror\.example\.com\/berth\/(platform|nginxinc|library)\//)
  })
})

function scaledFrom(objects: KubernetesObject[], name: string | undefined): number {
  return ofKind(objects, 'HorizontalPodAutoscaler').find((one) => component(one) === name)?.spec.minReplicas
}
