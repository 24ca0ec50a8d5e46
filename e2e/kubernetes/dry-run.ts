import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from '@jest/globals'
import { renderText } from '../chart/helm.ts'
import { valueSets } from '../chart/value-sets.ts'
import type { Scene } from './use-release.ts'

// Beside the release, for objects that are there cannot be changed in every way.
const namespace = 'rendered'
const place = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: namespace, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
}

// Kinds that a cluster has only when somebody has brought them; Go modules carry their definitions.
const definitions = [
  ['sigs.k8s.io/gateway-api@v1.4.1', 'config/crd/standard/gateway.networking.k8s.io_httproutes.yaml'],
  [
    'github.com/prometheus-operator/prometheus-operator@v0.85.0',
    'example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml',
  ],
  [
    'github.com/prometheus-operator/prometheus-operator@v0.85.0',
    'example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml',
  ],
  [
    'github.com/external-secrets/external-secrets@v0.20.1',
    'config/crds/bases/external-secrets.io_externalsecrets.yaml',
  ],
  ['github.com/cert-manager/cert-manager@v1.19.1', 'deploy/crds/cert-manager.io_certificates.yaml'],
] as const
const brought =
  /^apiVersion: (gateway\.networking\.k8s\.io|monitoring\.coreos\.com|external-secrets\.io|cert-manager\.io)\//m

/** Declares that the API server takes whatever the chart makes, Ingress, Gateway, monitoring, secrets of a store and certificates too. */
export function describeDryRun(scene: Scene): void {
  test.each(Object.entries(valueSets))('the API server takes what the chart makes with %s', async (_, values) => {
    const { stdout, stderr, status } = renderText(values)
    expect([status, stderr]).toEqual([0, expect.anything()])
    if (brought.test(stdout)) await defineKinds(scene)
    await scene.cluster.apply(place)
    const flags = ['apply', '--namespace', namespace, '--dry-run=server', '--validate=strict', '-f', '-']
    expect(await scene.cluster.kubectl(flags, { input: stdout })).toContain('(server dry run)')
  })
}

async function defineKinds({ cluster }: Scene): Promise<void> {
  for (const [module, file] of definitions) {
    const { stdout } = spawnSync('go', ['mod', 'download', '-json', module], { encoding: 'utf8', cwd: '/' })
    const place = path.join((JSON.parse(stdout) as { Dir?: string }).Dir ?? '/nowhere', file)
    if (!existsSync(place)) throw new Error(`${module} cannot be fetched: ${stdout}`)
    await cluster.kubectl(['apply', '--server-side', '-f', place])
  }
  await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all'])
}
