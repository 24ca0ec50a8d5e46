import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Run, runner } from '../clients/client.ts'
import { missingPrograms } from '../servers/programs.ts'

const folder = fileURLToPath(new URL('cluster/', import.meta.url))
// Short, for there are sockets in it; one cluster with a real node is all that a machine has room for.
const state = '/tmp/berth-k8s-test'
const needed = ['containerd', 'runc', 'ctr', 'iptables', 'ipset', 'nsenter', 'ip', 'skopeo', 'docker-registry', 'go']

/** This machine as pods reach it, and the node as this machine does. */
export const hostAddress = '10.250.0.1'
export const nodeAddress = '10.250.0.2'

/** Why no cluster can be started here, or none is asked for; undefined when one can. */
export function clusterMissing(): string | undefined {
  if (process.env.BERTH_TEST_KUBERNETES !== 'true') return 'npm run e2e:kubernetes runs it'
  if (process.getuid?.() !== 0) return 'only root can start a node'
  const programs = missingPrograms(...needed)
  if (programs.length > 0)
    return `not installed: ${programs.join(', ')} (apt-get install containerd runc containernetworking-plugins iptables ipset iproute2 skopeo docker-registry)`
  return process.env.BERTH_TEST_NO_HELM ?? process.env.BERTH_TEST_NO_IMAGES
}

/** A Kubernetes with one real node. */
export type Cluster = {
  kubectl: Run
  helm: Run
  /** Applies objects; a namespace is named by each. */
  apply(...objects: object[]): Promise<void>
  /** Reads one field of an object. */
  field(namespace: string, object: string, jsonpath: string): Promise<string>
  /** The archive of a small image whose program answers and asks over HTTP, with another file in it for each name. */
  probeImage(name: string): string
  /** Has the node ask `mirror` for the images of a registry, by http. */
  pullThrough(registry: string, mirror: string): void
  stop(): void
}

/** Starts the cluster with the images of these archives. The first time on a machine it is built, which takes minutes. */
export function startCluster(archives: readonly string[]): Cluster {
  const cache = process.env.BERTH_TEST_KUBERNETES_CACHE as string
  const env = { ...process.env, BERTH_K8S_CACHE: cache, BERTH_K8S_STATE: state, BERTH_K8S_LEVEL: '3' }
  const run = (script: string, more = {}) =>
    spawnSync(path.join(folder, script), { env: { ...env, ...more }, encoding: 'utf8', maxBuffer: 64 << 20 })
  const up = run('up.sh', { BERTH_K8S_IMAGES: archives.join(' ') })
  const stop = () => void run('down.sh')
  if (up.status !== 0) {
    stop()
    throw new Error(`no cluster: ${up.stderr.slice(-2_000)}`)
  }
  const KUBECONFIG = path.join(state, 'kc/admin')
  const kubectl = runner(path.join(cache, 'bin/kubectl'), [], { KUBECONFIG })
  const certificates = path.join(state, 'containerd/certs.d')
  return {
    kubectl,
    helm: runner(process.env.BERTH_TEST_HELM as string, [], { KUBECONFIG }),
    apply: async (...objects) => {
      await kubectl(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }) })
    },
    field: (namespace, object, jsonpath) => kubectl(['-n', namespace, 'get', object, '-o', `jsonpath={${jsonpath}}`]),
    probeImage: (name) => {
      const archive = path.join(state, `${name}.tar`)
      const probe = path.join(cache, 'bin/probe')
      // A node takes an image that it has under another name for pulled, and asks nobody.
      const files = [`${probe}:/probe`, `${probe}:/${name}`]
      const flags = ['-o', archive, '-t', `${name}:1`, '-user', '65532:65532', '-entrypoint', '/probe']
      const { status, stderr } = spawnSync(path.join(cache, 'bin/mkimage'), [...flags, ...files], { encoding: 'utf8' })
      if (status !== 0) throw new Error(stderr)
      return archive
    },
    pullThrough: (registry, mirror) => {
      const place = path.join(certificates, registry)
      mkdirSync(place, { recursive: true })
      writeFileSync(
        path.join(place, 'hosts.toml'),
        `server = "http://${mirror}"\n\n[host."http://${mirror}"]\n  capabilities = ["pull", "resolve"]\n`,
      )
    },
    stop,
  }
}
