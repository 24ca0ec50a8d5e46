import { expect, test } from '@jest/globals'
import { asDigest } from './digest.ts'
import { configLimitBytes, type ManifestKind, manifestFacts, readableConfig } from './manifest-facts.ts'

const digest = asDigest(`sha256:${'0'.repeat(64)}`)
const ociConfig = 'application/vnd.oci.image.config.v1+json'
const gzip = 'application/vnd.oci.image.layer.v1.tar+gzip'
const descriptor = (role: 'config' | 'layer', mediaType: string, sizeBytes = 100) => ({
  role,
  digest,
  mediaType,
  sizeBytes,
  optional: false,
})
type Given = {
  config?: string
  layers?: string[]
  artifactType?: string
  annotations?: Record<string, string>
  mediaType?: string
}
const manifest = ({
  config,
  layers = [],
  annotations = {},
  mediaType = 'application/vnd.oci.image.manifest.v1+json',
  ...more
}: Given) => ({
  mediaType,
  isIndex: false,
  annotations,
  references: [...(config ? [descriptor('config', config)] : []), ...layers.map((layer) => descriptor('layer', layer))],
  ...more,
})
const json = (value: unknown) => Buffer.from(JSON.stringify(value))

const cases: [what: string, given: Given, config: object | undefined, kind: ManifestKind][] = [
  ['an image', { config: ociConfig, layers: [gzip] }, {}, 'image'],
  ['an image of Docker', { config: 'application/vnd.docker.container.image.v1+json' }, undefined, 'image'],
  ['schema 1', { mediaType: 'application/vnd.docker.distribution.manifest.v1+prettyjws' }, undefined, 'image'],
  ['a chart', { config: 'application/vnd.cncf.helm.config.v1+json' }, undefined, 'helm'],
  [
    'a cosign signature',
    { config: ociConfig, layers: ['application/vnd.dev.cosign.simplesigning.v1+json'] },
    {},
    'signature',
  ],
  ['a notation signature', { artifactType: 'application/vnd.cncf.notary.signature' }, undefined, 'signature'],
  ['a sigstore bundle', { artifactType: 'application/vnd.dev.sigstore.bundle.v0.3+json' }, undefined, 'signature'],
  [
    'a sigstore bundle with a statement',
    {
      artifactType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      annotations: { 'dev.sigstore.bundle.content': 'dsse-envelope' },
    },
    undefined,
    'attestation',
  ],
  ['an attestation of BuildKit', { config: ociConfig, layers: ['application/vnd.in-toto+json'] }, {}, 'attestation'],
  [
    'an attestation of cosign',
    { config: ociConfig, layers: ['application/vnd.dsse.envelope.v1+json'] },
    {},
    'attestation',
  ],
  ['an SPDX document', { artifactType: 'application/spdx+json' }, undefined, 'sbom'],
  ['a CycloneDX document', { config: ociConfig, layers: ['application/vnd.cyclonedx+json'] }, undefined, 'sbom'],
  ['a WebAssembly module', { config: 'application/vnd.wasm.config.v0+json', layers: ['application/wasm'] }, {}, 'wasm'],
  ['an image for wasm', { config: ociConfig }, { architecture: 'wasm', os: 'wasip1' }, 'wasm'],
  ['a flatpak', { config: ociConfig }, { config: { Labels: { 'org.flatpak.ref': 'app/x' } } }, 'flatpak'],
  ['a bootable image', { config: ociConfig }, { config: { Labels: { 'containers.bootc': '1' } } }, 'bootable'],
  [
    'anything else',
    { artifactType: 'application/vnd.example+type', config: 'application/vnd.oci.empty.v1+json' },
    undefined,
    'artifact',
  ],
]
test.each(cases)('%s is known by its types and labels', (_, given, config, kind) => {
  expect(manifestFacts(manifest(given), config && json(config)).kind).toBe(kind)
})

test('an index is an index, whatever it is an index of', () => {
  expect(manifestFacts({ ...manifest({ artifactType: 'application/spdx+json' }), isIndex: true })).toEqual({
    kind: 'index',
    compressedBytes: 0,
  })
})

test('the facts of an image are those of its configuration, and the size of its layers', () => {
  const config = {
    architecture: 'arm64',
    os: 'linux',
    variant: 'v8',
    created: '2026-11-22T12:00:00.123456789+01:00',
    config: { Labels: { team: 'web', 'a/b': '' } },
  }
  expect(manifestFacts(manifest({ config: ociConfig, layers: [gzip, gzip] }), json(config))).toEqual({
    kind: 'image',
    compressedBytes: 200,
    architecture: 'arm64',
    os: 'linux',
    variant: 'v8',
    createdAt: '2026-11-22T11:00:00.123Z',
    labels: { team: 'web', 'a/b': '' },
  })
})

test.each([
  ['no JSON', Buffer.from('{')],
  ['no object', json([1])],
  ['no text', Buffer.from([0xff, 0xfe])],
  ['nested beyond measure', Buffer.from('['.repeat(200_000))],
  ['too large', Buffer.alloc(configLimitBytes + 1, ' ')],
  [
    'fields of other types',
    json({
      architecture: 7,
      os: '',
      variant: 'x'.repeat(129),
      created: 'yesterday',
      config: { Labels: { a: 1, 'b\0': 'c', d: '\ud800' } },
    }),
  ],
  ['a time out of all bounds', json({ created: '+123456-01-01T00:00:00Z', config: { Labels: [] } })],
])('a configuration with %s costs nothing but its facts', (_, config) => {
  const { labels = {}, ...facts } = manifestFacts(manifest({ config: ociConfig, layers: [gzip] }), config)
  expect({ facts, labels }).toEqual({ facts: { kind: 'image', compressedBytes: 100 }, labels: {} })
})

test('only configurations of images are looked into, and no large ones', () => {
  expect(readableConfig(manifest({ config: ociConfig }))).toBeDefined()
  expect(readableConfig(manifest({ config: 'application/vnd.cncf.helm.config.v1+json' }))).toBeUndefined()
  expect(readableConfig(manifest({}))).toBeUndefined()
  const large = { ...manifest({}), references: [descriptor('config', ociConfig, configLimitBytes + 1)] }
  expect(readableConfig(large)).toBeUndefined()
})
