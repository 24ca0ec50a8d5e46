import { readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import { Ajv } from 'ajv'
import yaml from 'js-yaml'
import { helmMissing, type KubernetesObject, render, renderText } from './helm.ts'
import { valueSets } from './value-sets.ts'

const fields = (required: Record<string, object>, more: Record<string, object> = {}) => ({
  type: 'object',
  additionalProperties: false,
  required: Object.keys(required),
  properties: { ...required, ...more },
})
const name = { type: 'string', pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$', maxLength: 253 }
/** What the chart may say of an ExternalSecret, which is no object of Kubernetes' own: of external-secrets.io/v1, as its definition has it. */
const isExternalSecret = new Ajv().compile(
  fields({
    apiVersion: { const: 'external-secrets.io/v1' },
    kind: { const: 'ExternalSecret' },
    metadata: fields({ name, labels: { type: 'object' } }, { annotations: { type: 'object' } }),
    spec: fields({
      refreshInterval: { type: 'string' },
      secretStoreRef: fields({ name, kind: { enum: ['SecretStore', 'ClusterSecretStore'] } }),
      target: fields({
        name,
        creationPolicy: { enum: ['Owner', 'Orphan', 'Merge', 'None'] },
        deletionPolicy: { enum: ['Delete', 'Merge', 'Retain'] },
      }),
      dataFrom: {
        type: 'array',
        minItems: 1,
        items: fields({
          extract: fields({
            key: { type: 'string', minLength: 1 },
            conversionStrategy: { enum: ['Default', 'Unicode'] },
            decodingStrategy: { enum: ['Auto', 'Base64', 'Base64URL', 'None'] },
            metadataPolicy: { enum: ['None', 'Fetch'] },
          }),
        }),
      },
    }),
  }),
)

/** The secrets that pods read and that nothing in the release makes. */
function readSecrets(objects: KubernetesObject[]): string[] {
  const text = JSON.stringify(objects.filter(({ kind }) => kind !== 'ExternalSecret'))
  const names = [...text.matchAll(/"secret(?:KeyRef":\{"name|Name)":"([^"]+)"/g)].map(([, secret = '']) => secret)
  return [...new Set(names)].toSorted()
}

const page = readFileSync(new URL('../../docs/how-to/install-on-kubernetes.md', import.meta.url), 'utf8')
const [, told = ''] = /```yaml external secrets\n([^`]+)```/.exec(page) ?? []
const values = valueSets['secrets out of a store'] as object
const external = valueSets['a database of theirs and a volume'] as object
const group = helmMissing ? describe.skip : describe

group(`secrets out of a store${helmMissing ? ` (skipped: ${helmMissing})` : ''}`, () => {
  const secretsOf = (some: object) => render(some).filter(({ kind }) => kind === 'ExternalSecret')

  test.each([
    ['values of ours', values, { bucket: 'bucket', database: 'platform/berth/postgresql', keys: 'keys' }],
    [
      'what the how-to adds',
      { ...(valueSets['a bucket'] as object), ...(yaml.load(told) as object) },
      { bucket: 'platform/berth/s3', database: 'platform/berth/postgresql', keys: 'platform/berth/keys' },
    ],
  ])('are asked for by one object each, under the name that pods read: with %s', (_, some, places) => {
    const objects = render(some)
    const asked = objects.filter(({ kind }) => kind === 'ExternalSecret')
    for (const object of asked) {
      isExternalSecret(object)
      expect([object.metadata.name, isExternalSecret.errors]).toEqual([object.metadata.name, null])
      expect(object.spec.target.name).toBe(object.metadata.name)
      expect(object.spec.secretStoreRef).toEqual({ name: 'vault', kind: 'ClusterSecretStore' })
    }
    expect(
      Object.fromEntries(asked.map(({ metadata, spec }) => [metadata.name, spec.dataFrom[0].extract.key])),
    ).toEqual(places)
    expect(Object.keys(places)).toEqual(readSecrets(objects))
    expect(renderText(some).stdout).toBe(renderText(some).stdout)
  })

  test('stay when the release goes, and are of a store of the namespace unless said otherwise', () => {
    const [one] = secretsOf({ ...values, externalSecrets: { enabled: true, storeRef: { name: 'vault' } } })
    expect(one?.spec.target).toMatchObject({ creationPolicy: 'Orphan', deletionPolicy: 'Retain' })
    expect(one?.spec.secretStoreRef.kind).toBe('SecretStore')
  })

  test('are left to others unless that is enabled', () => {
    expect(secretsOf({ ...values, externalSecrets: { enabled: false, storeRef: { name: 'vault' } } })).toEqual([])
  })

  test.each([
    [
      'secrets out of no store',
      { ...external, externalSecrets: { enabled: true } },
      'externalSecrets.enabled is set and externalSecrets.storeRef.name is not',
    ],
    [
      'secrets that nobody reads',
      { externalURL: 'https://a', demo: true, externalSecrets: { enabled: true, storeRef: { name: 'vault' } } },
      'no value names a secret that it could make',
    ],
    [
      'a place for a secret that nobody reads',
      { ...external, externalSecrets: { enabled: true, storeRef: { name: 'vault' }, remoteKeys: { databse: 'a' } } },
      'externalSecrets.remoteKeys has databse, and no value names a secret like that: the names are database',
    ],
    [
      'a secret that two make',
      {
        ...external,
        auth: { adminExistingSecret: 'hub-berth-keys' },
        externalSecrets: { enabled: true, storeRef: { name: 'vault' } },
      },
      'auth.adminExistingSecret is hub-berth-keys, which a Job of this chart makes',
    ],
    [
      'a store of no kind',
      { ...external, externalSecrets: { enabled: true, storeRef: { name: 'vault', kind: 'Vault' } } },
      '/externalSecrets/storeRef/kind',
    ],
    [
      'secrets that are read again at no time',
      { ...external, externalSecrets: { enabled: true, storeRef: { name: 'vault' }, refreshInterval: 'hourly' } },
      '/externalSecrets/refreshInterval',
    ],
  ])('are refused as %s', (_, some, said) => {
    const { status, stderr } = renderText(some)
    expect([status, stderr]).toEqual([1, expect.stringContaining(said)])
  })
})
