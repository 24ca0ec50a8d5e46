import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { newManifest } from '../conformance/manifests.ts'
import { digestOf, manifestType } from '../conformance/wire.ts'
import { boundMs, expectSound, sendRaw } from './raw.ts'
import { checkProperty } from './runs.ts'
import type { Scene } from './scene.ts'

const repository = 'properties/manifests'
const keys = [
  'schemaVersion',
  'mediaType',
  'config',
  'layers',
  'manifests',
  'subject',
  'annotations',
  'artifactType',
  'digest',
  'size',
  'platform',
  'urls',
  'data',
  '__proto__',
  'constructor',
  'toString',
  'fsLayers',
  'blobs',
]

/** Documents that are no manifests, or not quite. */
export function manifestProperties(scene: () => Scene): void {
  const put = (body: Buffer, type = manifestType) =>
    sendRaw(scene().stack.url, {
      method: 'PUT',
      target: `/v2/${repository}/manifests/tried`,
      headers: {
        authorization: scene().authorization.admin,
        'content-type': type,
        'content-length': String(body.length),
      },
      body,
    })

  test('a manifest with any part of it replaced is taken byte for byte, or refused with the reason', async () => {
    const manifest = await newManifest(scene().wire, repository)
    const json = fc.oneof(
      // What JSON can say and a database cannot keep.
      fc.constantFrom('\0', 'a\ud800', '\udc00\ud800', { a: '\0' }, { '\ud800': 'x' }),
      fc.jsonValue({ maxDepth: 4 }),
      fc.dictionary(fc.constantFrom(...keys), fc.jsonValue({ maxDepth: 2 }), { noNullPrototype: true }),
      fc.constantFrom(-1, 1e308, 2 ** 53, '', '\u0000', 'sha256:x', [], {}, null, manifest.config, manifest.layers),
    )
    const replaced = fc.tuple(fc.constantFrom(...keys), json).map(([key, value]) => text(manifest, key, value))
    const inConfig = fc
      .tuple(fc.constantFrom(...keys), json)
      .map(([key, value]) =>
        JSON.stringify({ ...manifest, config: JSON.parse(text(manifest.config as object, key, value)) }),
      )
    const document = fc.oneof(replaced, inConfig, fc.json(), fc.string({ unit: 'binary' }))
    const type = fc.constantFrom(
      manifestType,
      'application/vnd.oci.image.index.v1+json',
      'application/json',
      '',
      'text/html; charset=utf-8',
      '*/*',
    )
    await checkProperty(250, [document, type], async (document, type) => {
      const body = Buffer.from(document)
      const reply = await put(body, type)
      expectSound(reply, 'PUT')
      if (reply.status !== 201) return expect([400, 413]).toContain(reply.status)
      const got = await scene().wire.send('GET', `/v2/${repository}/manifests/${digestOf(body)}`)
      expect(got.status).toBe(200)
      expect(got.body.equals(body)).toBe(true)
    })
  }, 60_000)

  test('bombs are refused in time: deep, wide, twice the same key, __proto__, not UTF-8', async () => {
    const deep = 100_000
    const bombs: [string | Buffer, number][] = [
      ['['.repeat(deep) + ']'.repeat(deep), 400],
      [`${'{"a":'.repeat(deep)}1${'}'.repeat(deep)}`, 400],
      ['{"a":'.repeat(deep), 400],
      ['"'.repeat(1 << 20), 400],
      [`{"schemaVersion":2,"layers":[${'{},'.repeat(300_000)}{}]}`, 400],
      ['{"schemaVersion":2,"schemaVersion":2,"layers":[]}', 400],
      ['{"schemaVersion":2,"schema\\u0056ersion":2,"layers":[]}', 400],
      ['{"__proto__":{"schemaVersion":2,"layers":[]}}', 400],
      [`{${Array.from({ length: 200_000 }, (_, i) => `"k${i}":0`).join(',')}}`, 400],
      [Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 400],
      ['', 400],
    ]
    for (const [bomb, status] of bombs) {
      const reply = await put(Buffer.from(bomb))
      expectSound(reply, 'PUT')
      expect(reply.status).toBe(status)
    }
  }, 60_000)

  test('50 MB for a manifest are refused, announced or not, and the refusal reaches who reads it only at the end', async () => {
    const large = Buffer.alloc(50 << 20, ' ')
    const chunked = Buffer.concat([
      Buffer.from(`${large.length.toString(16)}\r\n`),
      large,
      Buffer.from('\r\n0\r\n\r\n'),
    ])
    for (const [lengths, body] of [
      [{ 'content-length': String(large.length) }, large],
      [{ 'transfer-encoding': 'chunked' }, chunked],
    ] as const) {
      const headers = { authorization: scene().authorization.admin, 'content-type': manifestType, ...lengths }
      const target = `/v2/${repository}/manifests/tried`
      const refused = sendRaw(scene().stack.url, { method: 'PUT', target, headers, body, readsLast: true })
      refused.catch(() => 'told below')
      const begun = performance.now()
      expect((await scene().wire.send('GET', '/v2/')).status).toBe(200)
      expect(performance.now() - begun).toBeLessThan(boundMs)
      const reply = await refused
      expectSound(reply, 'PUT')
      expect(reply.status).toBe(413)
    }
  }, 60_000)
}

/** The document with a key set, also to what `JSON.stringify` would take for a prototype. */
function text(document: object, key: string, value: unknown): string {
  const pairs = Object.entries(document).filter(([name]) => name !== key)
  return `{${[...pairs, [key, value] as const].map(([name, each]) => `${JSON.stringify(name)}:${JSON.stringify(each) ?? 'null'}`).join(',')}}`
}
