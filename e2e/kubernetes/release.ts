import path from 'node:path'
import { askBerth, type Berth, type BerthPlace } from '../berth/berth.ts'
import { until } from '../berth/processes.ts'
import { chart } from '../chart/helm.ts'
import { unpackBefore } from '../servers/release-before.ts'
import { type Cluster, nodeAddress } from './cluster.ts'

export const namespace = 'berth'
export const release = 'hub'
const nodePort = 30080
/** As nodes and clients type it. */
export const host = `${nodeAddress}:${nodePort}`
export const images = { berth: 'localhost/berth', standIn: 'localhost/berth-stand-in' }
const standIn = { repository: images.standIn, tag: 'latest' }
const little = { requests: { cpu: '20m', memory: '64Mi' }, limits: { memory: '1Gi' } }
const replicated = { replicas: 2, resources: little }

/** Two replicas of each, on a node of two processors. */
export const values = (postgresql: object) => ({
  externalURL: `http://${host}`,
  postgresql,
  expose: { service: { type: 'NodePort', nodePort } },
  images: { berth: { repository: images.berth, tag: 'test' }, nginx: standIn, nats: standIn },
  storage: { filesystem: { size: '2Gi' } },
  nats: { bundled: { size: '512Mi', resources: little } },
  proxy: replicated,
  services: {
    ...Object.fromEntries(['catalog', 'sync', 'tasks', 'auth', 'build'].map((name) => [name, replicated])),
    registry: {
      ...replicated,
      resources: { ...little, requests: { cpu: '100m', memory: '64Mi' } },
      autoscaling: {
        enabled: true,
        min: 2,
        max: 4,
        cpu: 40,
        // A cluster has five minutes as its usual.
        behavior: { scaleDown: { stabilizationWindowSeconds: 10 } },
      },
    },
  },
  drain: { preStopSeconds: 5, seconds: 30 },
})

/** The same with another image of Berth. */
export function withTag(given: ReturnType<typeof values>, tag: string): ReturnType<typeof values> {
  return { ...given, images: { ...given.images, berth: { ...given.images.berth, tag } } }
}

/** The chart of the release before, for image and chart are of one release. */
export function chartBefore(folder: string): string {
  // The chart links to files of deploy/monitoring.
  unpackBefore(folder, 'deploy/helm', 'deploy/monitoring')
  return path.join(folder, 'deploy/helm/berth')
}

/** Installs the chart, or upgrades what is installed, and waits until all of it is ready. */
export async function deploy(
  cluster: Cluster,
  verb: 'install' | 'upgrade',
  given: object,
  from = chart,
): Promise<string> {
  const flags = ['--namespace', namespace, '--values', '-', '--wait', '--timeout', '5m']
  try {
    return await cluster.helm([verb, release, from, ...flags], { input: JSON.stringify(given) })
  } catch (error) {
    const selector = 'app.kubernetes.io/component=migrate'
    const logs = await cluster.kubectl(['-n', namespace, 'logs', '-l', selector, '--prefix', '--tail=5']).catch(String)
    throw new Error(`${String(error)}\n${logs}`, { cause: error })
  }
}

/** The Berth of the release, for its administrator. */
export async function berthOf(cluster: Cluster): Promise<Berth> {
  const password = Buffer.from(
    await cluster.field(namespace, `secret/${release}-berth-keys`, ".data['admin-password']"),
    'base64',
  ).toString()
  const url = `http://${host}`
  const place: BerthPlace = {
    url,
    port: nodePort,
    home: '',
    pid: 0,
    password,
    databaseUrl: undefined,
    output: '/dev/null',
  }
  return { ...place, host, user: 'admin', ...askBerth(() => place) }
}

/** How many pods of a part are ready. */
export async function readyOf(cluster: Cluster, component: string): Promise<number> {
  return Number(await cluster.field(namespace, `deployment/${release}-berth-${component}`, '.status.readyReplicas'))
}

/** The names of the pods of a part that have not been told to end. */
export async function podsOf(cluster: Cluster, component: string): Promise<string[]> {
  const selector = `app.kubernetes.io/component=${component},app.kubernetes.io/instance=${release}`
  const listed = await cluster.kubectl(['-n', namespace, 'get', 'pods', '-l', selector, '-o', 'json'])
  const { items } = JSON.parse(listed) as { items: { metadata: { name: string; deletionTimestamp?: string } }[] }
  return items.filter(({ metadata }) => !metadata.deletionTimestamp).map(({ metadata }) => metadata.name)
}

/** Runs a pod with the probe image until it has ended; answers whether it ended well, and what it wrote. */
export async function runPod(
  cluster: Cluster,
  name: string,
  image: string,
  args: string[],
  { labels = {}, imagePullSecrets = [] }: { labels?: object; imagePullSecrets?: object[] } = {},
): Promise<{ isWell: boolean; output: string }> {
  const security = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } }
  await cluster.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      imagePullSecrets,
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [{ name: 'probe', image, imagePullPolicy: 'IfNotPresent', args, securityContext: security }],
    },
  })
  const phase = await until(
    `the pod ${name} has ended`,
    async () => {
      const now = await cluster.field(namespace, `pod/${name}`, '.status.phase')
      return /Succeeded|Failed/.test(now) ? now : undefined
    },
    90_000,
  )
  const output = await cluster.kubectl(['-n', namespace, 'logs', name])
  await cluster.kubectl(['-n', namespace, 'delete', 'pod', name, '--now'])
  return { isWell: phase === 'Succeeded', output }
}
