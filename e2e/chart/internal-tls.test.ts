import { readFileSync } from 'node:fs'
import { serviceNames } from '@berth/standalone/origin'
import { describe, expect, test } from '@jest/globals'
import yaml from 'js-yaml'
import { helmMissing, type KubernetesObject, render, renderText } from './helm.ts'
import { valueSets } from './value-sets.ts'

const external = valueSets['a database of theirs and a volume'] as object
const byManager = valueSets['certificates by cert-manager'] as { internalTLS: object }
const ofTheirs = valueSets['certificates of theirs'] as { internalTLS: { existingSecrets: Record<string, string> } }
const { existingSecrets } = ofTheirs.internalTLS
const group = helmMissing ? describe.skip : describe

type Pod = { spec: { containers: KubernetesObject[]; volumes: KubernetesObject[] } }
function podsOf(objects: KubernetesObject[]): [service: string, pod: Pod][] {
  return serviceNames.map((service) => {
    const found = objects.find(
      ({ kind, metadata }) => kind === 'Deployment' && metadata.name === `hub-berth-${service}`,
    )
    return [service, found?.spec.template]
  })
}
const environmentOf = ({ spec }: Pod) =>
  Object.fromEntries(spec.containers[0]?.env.map(({ name, value }: KubernetesObject) => [name, value]))

group(`calls among services${helmMissing ? ` (skipped: ${helmMissing})` : ''}`, () => {
  test.each([
    ['cert-manager', byManager, (service: string) => `hub-berth-${service}-internal-tls`],
    ['secrets of theirs', ofTheirs, (service: string) => `${service}-tls`],
  ])('are encrypted with certificates of %s, each read by its service alone', (_, values, secretOf) => {
    const { stdout } = renderText(values)
    const pods = podsOf(yaml.loadAll(stdout) as KubernetesObject[])
    for (const [service, pod] of pods) {
      const environment = environmentOf(pod)
      for (const peer of serviceNames)
        expect(environment[`BERTH_${peer.toUpperCase()}_URL`]).toBe(`https://hub-berth-${peer}:9100`)
      const mount = pod.spec.containers[0]?.volumeMounts.find(({ name }: { name: string }) => name === 'internal-tls')
      const { mountPath } = mount
      expect(environment).toMatchObject({
        BERTH_INTERNAL_TLS_CERT: `${mountPath}/tls.crt`,
        BERTH_INTERNAL_TLS_KEY: `${mountPath}/tls.key`,
        BERTH_INTERNAL_TLS_CA: `${mountPath}/ca.crt`,
      })
      const volume = pod.spec.volumes.find(({ name }) => name === 'internal-tls')
      expect(volume?.secret).toMatchObject({ secretName: secretOf(service), defaultMode: 0o440 })
      expect(volume?.secret.items.map(({ path }: { path: string }) => path)).toEqual(['tls.crt', 'tls.key', 'ca.crt'])
      // Probes are answered at the public listener, which goes on with http, as the proxy in front does.
      expect(pod.spec.containers[0]?.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'http' })
      expect(environment).not.toHaveProperty('BERTH_TLS_CERT')
    }
    const sync = pods.find(([name]) => name === 'sync')?.[1] as Pod
    expect(environmentOf(sync).BERTH_INTERNAL_URL).toBe('https://$(POD_IP):9100')
    expect(renderText(values).stdout).toBe(stdout)
  })

  test('have certificates of the issuer for the names that services are asked under', () => {
    const objects = render(byManager)
    const made = objects.filter(({ kind }) => kind === 'Certificate')
    expect(made.map(({ apiVersion, metadata, spec }) => [apiVersion, metadata.name, spec])).toEqual(
      [...serviceNames]
        .toSorted((one, other) => one.localeCompare(other))
        .map((service) => [
          'cert-manager.io/v1',
          `hub-berth-${service}-internal`,
          {
            secretName: `hub-berth-${service}-internal-tls`,
            issuerRef: { name: 'internal', kind: 'ClusterIssuer', group: 'cert-manager.io' },
            dnsNames: ['', '.berth', '.berth.svc'].map((end) => `hub-berth-${service}${end}`),
            usages: ['digital signature', 'key encipherment', 'server auth'],
            privateKey: { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Always' },
          },
        ]),
    )
    expect(render(ofTheirs).filter(({ kind }) => kind === 'Certificate')).toEqual([])
  })

  test('are encrypted by the values that the how-to has', () => {
    const page = readFileSync(new URL('../../docs/how-to/install-on-kubernetes.md', import.meta.url), 'utf8')
    const [, told = ''] = /```yaml internal tls\n([^`]+)```/.exec(page) ?? []
    expect(
      render({ ...external, ...(yaml.load(told) as object) }).filter(({ kind }) => kind === 'Certificate'),
    ).toHaveLength(6)
  })

  test('with policies as without, and by http unless that is enabled', () => {
    const policiesOf = (values: object) => render(values).filter(({ kind }) => kind === 'NetworkPolicy')
    expect(policiesOf(byManager)).toEqual(policiesOf(external))
    for (const [, pod] of podsOf(render(external))) {
      expect(environmentOf(pod).BERTH_AUTH_URL).toBe('http://hub-berth-auth:9100')
      expect(environmentOf(pod)).not.toHaveProperty('BERTH_INTERNAL_TLS_CERT')
    }
  })

  test('and certificates come out of a store where that is enabled', () => {
    const names = render(ofTheirs).flatMap(({ kind, metadata }) => (kind === 'ExternalSecret' ? [metadata.name] : []))
    expect(names).toEqual(['auth-tls', 'build-tls', 'catalog-tls', 'database', 'registry-tls', 'sync-tls', 'tasks-tls'])
  })

  const { tasks: _tasks, ...five } = existingSecrets
  test.each<[string, object, string]>([
    ['no certificates', { enabled: true }, 'internalTLS.enabled is set and nothing says where certificates come from'],
    [
      'certificates of two makers',
      { ...byManager.internalTLS, existingSecrets },
      'internalTLS.certManager.issuerRef and internalTLS.existingSecrets are both set',
    ],
    [
      'a service without one',
      { enabled: true, existingSecrets: five },
      'internalTLS.existingSecrets.tasks is not set: each of the six services needs one',
    ],
    ['one for no service', { enabled: true, existingSecrets: { ...existingSecrets, gateway: 'x' } }, 'gateway'],
    [
      'an issuer without a name',
      { enabled: true, certManager: { issuerRef: { kind: 'Issuer' } } },
      'nothing says where',
    ],
  ])('with %s are refused', (_, internalTLS, said) => {
    const { status, stderr } = renderText({ ...external, internalTLS })
    expect([status, stderr]).toEqual([1, expect.stringContaining(said)])
  })
})
