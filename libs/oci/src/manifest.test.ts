import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { manifestLimitBytes, parseManifest, parsePushed, referenceLimit } from './manifest.ts'
import { mediaTypes, servableType } from './media-types.ts'
import { OciError } from './oci-error.ts'

const digest = (text: string) => `sha256:${text.repeat(64)}`
const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digest('a'), size: 2 }
const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: digest('b'), size: 10 }
const child = {
  mediaType: mediaTypes.ociManifest,
  digest: digest('c'),
  size: 20,
  platform: { os: 'linux', architecture: 'arm64', variant: 'v8', 'os.version': '1' },
}
const image = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer] }
const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [child] }

const bytesOf = (body: unknown) => Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
const parse = (body: unknown, contentType?: string) => parsePushed(bytesOf(body), contentType)
const parseOfUpstream = (body: unknown) => parseManifest(bytesOf(body))
/** The type with which a repository has it. */
const typeOf = (body: unknown, contentType?: string) => {
  const { mediaType, pushedType = mediaType } = parse(body, contentType)
  return pushedType
}

/** Parses and answers how it was refused. */
function refusal(body: unknown, contentType?: string): OciError {
  try {
    parse(body, contentType)
  } catch (error) {
    if (error instanceof OciError) return error
    throw error
  }
  throw new Error('it was taken')
}

describe('what is kept of a manifest', () => {
  test('an image: config and layers', () => {
    const parsed = parse(image, mediaTypes.ociManifest)
    expect(parsed).toMatchObject({ mediaType: mediaTypes.ociManifest, isIndex: false, artifactType: config.mediaType })
    expect(parsed.references.map(({ role, digest: named, sizeBytes }) => [role, named, sizeBytes])).toEqual([
      ['config', config.digest, 2],
      ['layer', layer.digest, 10],
    ])
  })

  test('an index: children with their platforms', () => {
    const { isIndex, references, artifactType } = parse(index)
    expect([isIndex, artifactType]).toEqual([true, undefined])
    expect(references).toMatchObject([
      { role: 'manifest', digest: child.digest, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
    ])
  })

  test('a subject is named and may be missing', () => {
    const subject = { mediaType: mediaTypes.ociManifest, digest: digest('d'), size: 5 }
    for (const body of [
      { ...image, subject, artifactType: 'application/x-sbom' },
      { ...index, subject, artifactType: 'application/x-sbom' },
    ]) {
      const parsed = parse(body)
      expect(parsed).toMatchObject({ subject: subject.digest, artifactType: 'application/x-sbom' })
      expect(parsed.references.find(({ role }) => role === 'subject')?.optional).toBe(true)
    }
  })

  test('a layer that lies elsewhere may be missing', () => {
    const foreign = { ...layer, mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' }
    const elsewhere = { ...foreign, urls: ['https://a.example/layer'] }
    const optional = (...layers: object[]) => parse({ ...image, layers }).references.map((one) => one.optional)
    expect(optional(elsewhere, layer)).toEqual([false, true, false])
    // Nobody says where else it could be.
    expect(optional(foreign, { ...foreign, urls: [] }, { ...foreign, urls: null })).toEqual([
      false,
      false,
      false,
      false,
    ])
  })

  describe('of schema 1', () => {
    const v1Compatibility = '{"id":"0"}'
    const fsLayers = [{ blobSum: digest('a') }, { blobSum: digest('b') }]
    const history = [{ v1Compatibility }, { v1Compatibility }]
    const body = { schemaVersion: 1, name: 'team/app', tag: 'latest', fsLayers, history }
    const encode = (text: string) => Buffer.from(text).toString('base64url')
    const signedText = (text: string, format: object = {}) => {
      const covered = encode(JSON.stringify({ formatLength: text.length - 1, formatTail: encode('}'), ...format }))
      const one = { header: { alg: 'ES256', jwk: {} }, protected: covered, signature: 'AA' }
      return `${text.slice(0, -1)},"signatures":${JSON.stringify([one])}}`
    }
    const text = JSON.stringify(body)

    test('it has the layers of fsLayers, and what is signed apart from its signatures', () => {
      expect(parse(body)).toMatchObject({ mediaType: mediaTypes.dockerSchema1, references: [{ role: 'layer' }, {}] })
      const parsed = parseOfUpstream(signedText(text))
      expect(parsed).toMatchObject({ mediaType: mediaTypes.dockerSchema1Signed, references: [{}, {}] })
      expect(Buffer.from(parsed.signed?.payload ?? []).toString()).toBe(text)
    })

    test.each<[string, string, string]>([
      ['no signatures', text, mediaTypes.dockerSchema1Signed],
      ['signatures in the type without them', signedText(text), mediaTypes.dockerSchema1],
      ['a payload that ends too early', signedText(text, { formatLength: 10 }), ''],
      ['a payload longer than the text', signedText(text, { formatLength: 100_000 }), ''],
      ['a tail that says more', signedText(text, { formatTail: encode(',"tag":"x"}') }), ''],
      ['a tail that is no base64url', signedText(text, { formatTail: '*' }), ''],
      ['a field behind its signatures', signedText(text).replace(/}$/, ',"a":1}'), ''],
      ['no name', JSON.stringify({ ...body, name: undefined }), ''],
      ['a tag that is none', JSON.stringify({ ...body, tag: 'a b' }), ''],
      ['less history than layers', JSON.stringify({ ...body, history: history.slice(1) }), ''],
      ['history that is no JSON', JSON.stringify({ ...body, history: [{ v1Compatibility: '{' }, {}] }), ''],
    ])('one with %s is refused', (_name, bytes, type) => {
      expect(() => parse(bytes, type)).toThrow(/^the manifest is invalid: /)
    })
  })

  test('empty lists, unknown fields and unknown types are taken', () => {
    expect(parse({ ...image, layers: [], 'org.example': { deep: [1] } }).references).toHaveLength(1)
    expect(parse({ ...index, manifests: [] }).references).toEqual([])
    const odd = { ...config, mediaType: 'application/x-anything' }
    expect(parse({ ...image, config: odd }).artifactType).toBe('application/x-anything')
    const artifact = { schemaVersion: 2, mediaType: mediaTypes.ociArtifact, blobs: [layer] }
    expect(parse(artifact).references).toMatchObject([{ role: 'layer' }])
  })
})

describe('which type it is', () => {
  test.each([
    ['the header', { ...image, mediaType: undefined }, mediaTypes.dockerManifest, mediaTypes.dockerManifest],
    ['the header without its parameters', image, `${mediaTypes.ociManifest}; charset=utf-8`, mediaTypes.ociManifest],
    ['the body when there is no header', image, undefined, mediaTypes.ociManifest],
    ['the body when the header says only JSON', index, 'application/json', mediaTypes.ociIndex],
    ['the body when the header says only bytes', index, 'application/octet-stream', mediaTypes.ociIndex],
    ['inferred from layers', { ...image, mediaType: undefined }, undefined, mediaTypes.ociManifest],
    ['inferred from manifests', { ...index, mediaType: undefined }, undefined, mediaTypes.ociIndex],
  ])('%s', (_title, body, header, wanted) => expect(typeOf(body, header)).toBe(wanted))

  test('what a client says of a body that leaves it open is kept apart from what the body says', () => {
    const untyped = { ...image, mediaType: undefined }
    expect(parse(untyped, mediaTypes.dockerManifest)).toMatchObject({
      mediaType: mediaTypes.ociManifest,
      pushedType: mediaTypes.dockerManifest,
    })
    for (const type of [undefined, mediaTypes.ociManifest, 'application/json'])
      expect(parse(untyped, type)).not.toHaveProperty('pushedType')
    expect(parseOfUpstream(untyped).mediaType).toBe(mediaTypes.ociManifest)
  })

  test.each([
    ['an image', { ...image, mediaType: undefined }, mediaTypes.dockerList],
    ['an image', { ...image, mediaType: undefined }, mediaTypes.ociArtifact],
    ['an image', { ...image, mediaType: undefined }, mediaTypes.dockerSchema1],
    ['an index', { ...index, mediaType: undefined }, mediaTypes.dockerManifest],
    ['schema 1', { schemaVersion: 1, name: 'a', tag: 'b', fsLayers: [], history: [] }, mediaTypes.ociManifest],
  ])('%s is refused under the type of something else', (_title, body, type) =>
    expect(refusal(body, type)).toMatchObject({ code: 'MANIFEST_INVALID', status: 400 }),
  )

  const noTypes = [
    'text/html',
    'application/x-anything',
    'a\nb',
    'é',
    `application/${'x'.repeat(200_000)}`,
    '*/*',
    '\0',
  ]
  test.each(noTypes)(
    'what is no type of a manifest is refused from who pushes it, and not heeded of an upstream: %j',
    (type) => {
      const body = { ...image, mediaType: undefined }
      for (const said of [refusal(body, type), refusal({ ...image, mediaType: type })])
        expect(said).toMatchObject({ code: 'MANIFEST_INVALID', status: 400 })
      expect(refusal(body, type).message.length).toBeLessThan(300)
      for (const odd of [body, { ...image, mediaType: type }, image])
        expect(parseOfUpstream(odd).mediaType).toBe(mediaTypes.ociManifest)
    },
  )

  test('a type that was stored before is served as it is where it can be sent and is no page', () => {
    expect(servableType('application/vnd.example.manifest+json')).toBe('application/vnd.example.manifest+json')
    for (const type of noTypes.filter((one) => one !== 'application/x-anything'))
      expect(servableType(type)).toBe('application/octet-stream')
  })

  test('capitals and a form of curl are no fault of a header', () => {
    expect(parse(image, 'Application/VND.oci.image.manifest.v1+JSON').mediaType).toBe(mediaTypes.ociManifest)
    expect(parse(index, 'application/x-www-form-urlencoded').mediaType).toBe(mediaTypes.ociIndex)
  })

  test('header and body that differ are refused', () => {
    const error = refusal(image, mediaTypes.ociIndex)
    expect([error.code, error.status]).toEqual(['MANIFEST_INVALID', 400])
    expect(error.message).toContain('mediaType')
  })

  test.each([
    ['manifests and layers', { ...image, manifests: [child] }],
    ['manifests and config', { ...index, config }],
    ['empty manifests and layers', { ...image, manifests: [] }],
    ['an index called an image', { ...index, mediaType: mediaTypes.ociManifest }],
    ['an image called an index', { ...image, mediaType: mediaTypes.ociIndex }],
    ['manifests and layers of an unknown type', { ...image, mediaType: 'application/x', manifests: [child] }],
  ])('%s could be read two ways and is refused', (_title, body) => expect(refusal(body).code).toBe('MANIFEST_INVALID'))
})

const foreign = (urls: string[]) => ({
  ...image,
  layers: [{ ...layer, mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip', urls }],
})

describe('what other registries take', () => {
  test.each<[string, object, number]>([
    ['layers that are null', { ...image, layers: null }, 1],
    ['no layers', { ...image, layers: undefined }, 1],
    ['a subject that is null', { ...image, subject: null }, 2],
    ['manifests that are null', { ...index, manifests: null }, 0],
    ['null in every field that may be absent', { ...index, config: null, layers: null, annotations: null }, 1],
    ['an artifact without schemaVersion', { mediaType: mediaTypes.ociArtifact, blobs: [layer] }, 1],
    ['an artifact without blobs', { mediaType: mediaTypes.ociArtifact, blobs: null }, 0],
  ])('%s', (_title, body, count) => {
    expect(parse(body).references).toHaveLength(count)
    expect(parseOfUpstream(body).references).toHaveLength(count)
  })

  test('an index of blobs, as a cache of BuildKit is: what is no manifest by its type is a blob', () => {
    const cache = { ...config, mediaType: 'application/vnd.buildkit.cacheconfig.v0' }
    const unknown = { ...child, mediaType: 'application/x-anything' }
    const { references } = parse({ ...index, manifests: [child, layer, cache, unknown] })
    expect(references.map(({ role, isUnsure }) => [role, isUnsure])).toEqual([
      ['manifest', undefined],
      ['layer', undefined],
      ['layer', undefined],
      ['layer', true],
    ])
  })
})

describe('data that is embedded in a descriptor', () => {
  const bytes = Buffer.from('{}')
  const digest = 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'
  const empty = { mediaType: 'application/vnd.oci.empty.v1+json', digest, size: 2 }

  test('is taken where it is what the digest names', () => {
    for (const data of [bytes.toString('base64'), null, undefined])
      expect(parse({ ...image, config: { ...empty, data } }).references).toHaveLength(2)
  })

  test.each<[string, unknown]>([
    ['other bytes', Buffer.from('[]').toString('base64')],
    ['more bytes', Buffer.from('{} ').toString('base64')],
    ['nothing', ''],
    ['a number', 5],
  ])('is refused where it is %s', (_title, data) => {
    const body = { ...image, config: { ...empty, data } }
    expect(refusal(body)).toMatchObject({ code: 'MANIFEST_INVALID', message: expect.stringContaining('config.data') })
    expect(() => parseOfUpstream(body)).toThrow(OciError)
  })
})

describe('text that cannot be kept', () => {
  test.each([
    ['a type', { ...image, config: { ...config, mediaType: '\0' } }],
    ['the type of an unknown document', { ...image, mediaType: 'application/x\0' }],
    ['an artifact type', { ...image, artifactType: 'a\ud800' }],
    ['an annotation', { ...image, annotations: { a: '\udc00\ud800' } }],
    ['the name of an annotation', { ...image, annotations: { 'a\0': '' } }],
    ['a URL of a foreign layer', foreign(['https://a.example/\0'])],
    ['the second URL of a foreign layer', foreign(['https://a.example/', '\ud800'])],
    ['a platform', { ...index, manifests: [{ ...child, platform: { os: '\0', architecture: 'amd64' } }] }],
  ])('in %s is refused, U+0000 and half a surrogate pair', (_title, body) =>
    expect(refusal(body)).toMatchObject({ code: 'MANIFEST_INVALID', status: 400 }),
  )

  test('in what is not kept it is no fault', () => {
    expect(parse({ ...image, 'org.example': '\0\ud800' }).references).toHaveLength(2)
    expect(parse({ ...image, annotations: { ship: '\u{1f6a2}' } }).annotations).toEqual({ ship: '\u{1f6a2}' })
  })
})

describe('keys that come twice', () => {
  const text = JSON.stringify(image)
  test.each([
    ['at the top', text.replace('{', '{"layers":[],')],
    ['spaced out', text.replace('{', '{ "layers" \n\t: [],')],
    ['written with an escape', text.replace('{', '{"l\\u0061yers":[],')],
    ['in a descriptor', text.replace('"size":2', '"size":2,"size":3')],
    ['in an array', text.replace('"size":10', '"size":10,"digest":"x"')],
    ['as __proto__', text.replace('{', '{"__proto__":1,"__proto__":2,')],
  ])('%s are refused', (_title, body) => {
    expect(() => JSON.parse(body)).not.toThrow()
    expect(refusal(body)).toMatchObject({ code: 'MANIFEST_INVALID', status: 400 })
  })

  test('the same key in different objects, or as a value, is no fault', () => {
    const annotations = { layers: 'layers', 'a":"b': 'a', 'quote"': '\\', digest: '"digest":' }
    expect(parse({ ...image, layers: [layer, layer], annotations }).annotations).toEqual(annotations)
  })

  test('whatever an honest writer makes is taken', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), (extra) => {
        expect(parse({ ...image, extra }).references).toHaveLength(2)
      }),
    )
  })
})

describe('what is no manifest', () => {
  test.each([
    ['nothing', ''],
    ['no JSON', '{'],
    ['an array', '[]'],
    ['null', 'null'],
    ['a number', '1'],
    ['an empty object', '{}'],
    ['another schemaVersion', { ...image, schemaVersion: 3 }],
    ['schemaVersion as a text', { ...image, schemaVersion: '2' }],
    ['schema 1 without layers', { schemaVersion: 1 }],
    ['layers that are no list', { ...image, layers: {} }],
    ['no config', { ...image, config: undefined }],
    ['a list as config', { ...image, config: [] }],
    ['a null among the layers', { ...image, layers: [null] }],
    ['a negative size', { ...image, layers: [{ ...layer, size: -1 }] }],
    ['half a byte', { ...image, layers: [{ ...layer, size: 0.5 }] }],
    ['a size as text', { ...image, layers: [{ ...layer, size: '10' }] }],
    ['a size past counting', { ...image, layers: [{ ...layer, size: 2 ** 53 }] }],
    ['a layer without type', { ...image, layers: [{ ...layer, mediaType: '' }] }],
    ['annotations that are no texts', { ...image, annotations: { a: 1 } }],
    ['annotations that are a list', { ...image, annotations: ['a'] }],
  ])('%s', (_title, body) => expect(refusal(body).code).toBe('MANIFEST_INVALID'))

  test.each([undefined, '', 'sha256:abc', 5, `md5:${'a'.repeat(32)}`])('a descriptor with the digest %s', (named) => {
    const error = refusal({ ...image, layers: [layer, { ...layer, digest: named }] })
    expect(error.code).toBe('DIGEST_INVALID')
    expect(error.message).toContain('layers[1].digest')
  })

  test('bytes that are no UTF-8', () => {
    expect(() => parseManifest(Buffer.from([0x7b, 0xff, 0x7d]))).toThrow(/UTF-8/)
  })
})

describe('limits', () => {
  test('more than 4 MiB is too large, 4 MiB is not', () => {
    const padded = JSON.stringify(image).padEnd(manifestLimitBytes, ' ')
    const before = process.cpuUsage()
    expect(parse(padded).references).toHaveLength(2)
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(1_000)
    expect(refusal(`${padded} `).status).toBe(413)
  })

  test('more than 10,000 descriptors are refused', () => {
    const layers = (length: number) => ({ ...image, layers: Array.from({ length }, () => layer) })
    expect(parse(layers(referenceLimit - 1)).references).toHaveLength(referenceLimit)
    expect(refusal(layers(referenceLimit)).code).toBe('MANIFEST_INVALID')
  })

  const long = 'x'.repeat(256)
  test.each([
    ['config.mediaType', { ...image, config: { ...config, mediaType: long } }],
    ['layers[0].mediaType', { ...image, layers: [{ ...layer, mediaType: long }] }],
    ['artifactType', { ...image, artifactType: long }],
    ['manifests[0].platform', { ...index, manifests: [{ ...child, platform: { os: long, architecture: 'amd64' } }] }],
  ])('%s of more than 255 characters is refused', (field, body) => {
    expect(refusal(body)).toMatchObject({ code: 'MANIFEST_INVALID', message: expect.stringContaining(field) })
    expect(parse(JSON.parse(JSON.stringify(body).replace(long, long.slice(1)))).mediaType).toBe(body.mediaType)
  })

  test('a foreign layer with more than 100 URLs, or one of more than 2,048 characters, is refused', () => {
    expect(parse(foreign(Array.from({ length: 100 }, () => 'x'.repeat(2_048)))).references).toHaveLength(2)
    for (const urls of [Array.from({ length: 101 }, () => 'x'), ['x'.repeat(2_049)]])
      expect(refusal(foreign(urls))).toMatchObject({ code: 'MANIFEST_INVALID', status: 400 })
  })

  test.each(['[', '{"a":'])('a nesting of a million %s is refused at once', (bracket) => {
    const before = process.cpuUsage()
    expect(refusal(`{"a":${bracket.repeat(600_000)}`).message).toContain('nests deeper')
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(500)
  })

  test('brackets inside texts do not count as nesting', () => {
    const annotations = { a: `\\"${'['.repeat(1_000)}` }
    expect(parse({ ...image, annotations }).annotations).toEqual(annotations)
  })
})

test('keys of the prototype are only keys', () => {
  const text = JSON.stringify({ ...image, annotations: { x: 'y' } })
    .replace('{', '{"__proto__":{"layers":[],"polluted":true},"constructor":{"prototype":{"polluted":true}},')
    .replace('"x":"y"', '"__proto__":"y"')
  const parsed = parse(text)
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  expect(parsed.references).toHaveLength(2)
  expect(Object.entries(parsed.annotations)).toEqual([['__proto__', 'y']])
})

test('any bytes are a manifest or a refusal', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 500 }),
    fc.json().map((text) => Buffer.from(text)),
  )
  fc.assert(
    fc.property(bytes, fc.option(fc.string(), { nil: undefined }), (body, contentType) => {
      try {
        parsePushed(body, contentType)
      } catch (error) {
        expect(error).toBeInstanceOf(OciError)
      }
    }),
  )
})
