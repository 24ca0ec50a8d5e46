import { expect, test } from '@jest/globals'
import type { Berth } from '../berth/berth.ts'
import { localRemote, make, sync } from '../berth/requests.ts'
import { runner } from '../clients/client.ts'
import { startSkopeo } from '../clients/skopeo.ts'
import type { Upstream } from '../servers/upstream.ts'
import { type Cluster, hostAddress } from './cluster.ts'
import { host, namespace, runPod } from './release.ts'

/** A release with its Berth, and another registry that it reaches at `hostAddress`. */
export type Scene = { cluster: Cluster; berth: Berth; upstream: Upstream }

/** Declares the tests of what a release is for: it is pushed to, pulled from by nodes, and mirrors. */
export function describeUse(scene: Scene): void {
  const skopeo = runner('skopeo', ['--insecure-policy'])
  const skopeoAs = () => ['--dest-tls-verify=false', '--dest-creds', `admin:${scene.berth.password}`]

  test('skopeo pushes and pulls through the service, and a pod runs what needs a login', async () => {
    scene.cluster.pullThrough(host, host)
    await make(scene.berth, '/namespaces', { name: 'team' })
    await make(scene.berth, '/repositories', { name: 'team/probe' })
    await make(scene.berth, '/distributions', {
      name: 'probe',
      basePath: 'team/probe',
      repository: 'team/probe',
      access: 'private',
    })
    const archive = scene.cluster.probeImage('private')
    await skopeo(['copy', '--quiet', ...skopeoAs(), `docker-archive:${archive}`, `docker://${host}/team/probe:1`])
    const reader = startSkopeo()
    await reader.login(host, { user: 'admin', password: scene.berth.password })
    await reader.pull(`${host}/team/probe:1`)
    await reader.stop()
    const robot = await scene.berth.api('POST', '/robots', { name: 'cluster', namespace: 'team' })
    await scene.berth.api('POST', '/grants', { to: { robot: 'team/cluster' }, role: 'puller', on: 'namespace:team' })
    const auth = Buffer.from(`team/cluster:${robot.body.secret}`).toString('base64')
    await scene.cluster.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'pull', namespace },
      type: 'kubernetes.io/dockerconfigjson',
      stringData: { '.dockerconfigjson': JSON.stringify({ auths: { [host]: { auth } } }) },
    })
    const run = await runPod(scene.cluster, 'private', `${host}/team/probe:1`, ['lookup', 'kubernetes.default.svc'], {
      imagePullSecrets: [{ name: 'pull' }],
    })
    expect(run.isWell).toBe(true)
  }, 180_000)

  test('it mirrors a repository of another registry', async () => {
    const archive = scene.cluster.probeImage('mirrored')
    await skopeo([
      'copy',
      '--quiet',
      '--dest-tls-verify=false',
      `docker-archive:${archive}`,
      `docker://${scene.upstream.host}/some/probe:1`,
    ])
    await make(scene.berth, '/repositories', { name: 'mirror/probe' })
    const from = `http://${hostAddress}:${new URL(scene.upstream.url).port}`
    await make(scene.berth, '/remotes', localRemote('upstream', from, 'some/probe', { redirectHosts: [hostAddress] }))
    expect((await sync(scene.berth, 'mirror/probe', 'upstream')).state).toBe('completed')
  }, 120_000)

  test('a node pulls through it what another registry has', async () => {
    const other = `${hostAddress}:${new URL(scene.upstream.url).port}`
    const archive = scene.cluster.probeImage('through')
    await skopeo([
      'copy',
      '--quiet',
      '--dest-tls-verify=false',
      `docker-archive:${archive}`,
      `docker://${scene.upstream.host}/some/through:1`,
    ])
    await make(scene.berth, '/remotes', {
      name: 'other',
      url: `http://${other}`,
      allowPrivateAddresses: true,
      redirectHosts: [hostAddress],
    })
    await make(scene.berth, '/distributions', {
      name: 'other',
      basePath: 'other',
      access: 'public',
      pullThrough: { remote: 'other', trigger: 'anonymous' },
    })
    scene.cluster.pullThrough(other, host)
    const run = await runPod(scene.cluster, 'through', `${other}/some/through:1`, ['lookup', 'kubernetes.default.svc'])
    expect(run.isWell).toBe(true)
    expect((await scene.berth.api('GET', '/repositories/other%2Fsome%2Fthrough')).status).toBe(200)
  }, 120_000)
}
