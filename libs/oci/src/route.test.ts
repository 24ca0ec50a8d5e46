import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { OciError } from './oci-error.ts'
import { parseRoute } from './route.ts'

const digest = `sha256:${'ab'.repeat(32)}`

describe('what a path names', () => {
  test.each([
    ['/v2', { kind: 'ping' }],
    ['/v2/', { kind: 'ping' }],
    ['/v2/_catalog', { kind: 'catalog' }],
    ['/v2/a/tags/list', { kind: 'tags', repository: 'a' }],
    ['/v2/a/manifests/latest', { kind: 'manifest', repository: 'a', tag: 'latest' }],
    [`/v2/a/manifests/${digest}`, { kind: 'manifest', repository: 'a', digest }],
    [`/v2/a/manifests/${digest.replace(':', '%3A')}`, { kind: 'manifest', repository: 'a', digest }],
    [`/v2/a/blobs/${digest}`, { kind: 'blob', repository: 'a', digest }],
    [`/v2/a/referrers/${digest}`, { kind: 'referrers', repository: 'a', digest }],
    ['/v2/a/blobs/uploads/', { kind: 'uploads', repository: 'a' }],
    ['/v2/a/blobs/uploads', { kind: 'uploads', repository: 'a' }],
    ['/v2/a/blobs/uploads/some-id', { kind: 'upload', repository: 'a', session: 'some-id' }],
  ])('%s', (path, route) => expect(parseRoute(path)).toEqual(route))

  test.each([
    ['/v2/foo/blobs/tags/list', { kind: 'tags', repository: 'foo/blobs' }],
    [`/v2/foo/blobs/blobs/${digest}`, { kind: 'blob', repository: 'foo/blobs', digest }],
    ['/v2/foo/blobs/blobs/uploads/', { kind: 'uploads', repository: 'foo/blobs' }],
    ['/v2/foo/blobs/blobs/uploads/x', { kind: 'upload', repository: 'foo/blobs', session: 'x' }],
    ['/v2/foo/blobs/uploads/manifests/v1', { kind: 'manifest', repository: 'foo/blobs/uploads', tag: 'v1' }],
    ['/v2/x/manifests/y/manifests/v1', { kind: 'manifest', repository: 'x/manifests/y', tag: 'v1' }],
    ['/v2/x/tags/list/tags/list', { kind: 'tags', repository: 'x/tags/list' }],
    ['/v2/manifests/manifests/manifests', { kind: 'manifest', repository: 'manifests', tag: 'manifests' }],
    [`/v2/a/referrers/b/referrers/${digest}`, { kind: 'referrers', repository: 'a/referrers/b', digest }],
  ])('%s is about a repository that is called like a route', (path, route) => expect(parseRoute(path)).toEqual(route))

  test.each(['/', '', '/v1/', '/v2x', '/v2/a', '/v2/a/b', '/v2/a/tags', '/v2/a/tags/lists', '/V2/', '/v2/a/blobs'])(
    '%s names nothing',
    (path) => expect(parseRoute(path)).toBeUndefined(),
  )
})

describe('what a path may not hold', () => {
  const refused = (path: string) => {
    try {
      return parseRoute(path)
    } catch (error) {
      return error instanceof OciError ? error.code : error
    }
  }

  test.each([
    '/v2/a%2fb/tags/list',
    '/v2/../tags/list',
    '/v2/a/../b/tags/list',
    '/v2/%2e%2e/tags/list',
    '/v2/a//b/tags/list',
    '/v2//tags/list',
    '/v2/A/tags/list',
    '/v2/a%00/tags/list',
    '/v2/a\0/tags/list',
    `/v2/${'a'.repeat(10_000)}/tags/list`,
    `/v2/${'a/'.repeat(5_000)}a/tags/list`,
    '/v2/blobs/uploads/',
  ])('%.60s: the name is refused', (path) => expect(refused(path)).toBe('NAME_INVALID'))

  test.each([
    'sha256:abc',
    'sha256:',
    ':',
    'a:b',
    `md5:${'a'.repeat(32)}`,
    `sha256:${'AB'.repeat(32)}`,
    `sha256:${'ab'.repeat(32)}0`,
    'sha256%3Aabc',
  ])('a malformed digest %s is never looked up as a tag', (reference) => {
    for (const kind of ['manifests', 'blobs', 'referrers'])
      expect(refused(`/v2/a/${kind}/${reference}`)).toBe('DIGEST_INVALID')
  })

  test.each(['', '.x', 'a%2fb', 'a%00', '%', '%zz', '..', '%2e%2e', 'x'.repeat(129), 'x'.repeat(10_000)])(
    'a malformed tag %.40s is refused',
    (tag) => expect(refused(`/v2/a/manifests/${tag}`)).toBe('TAG_INVALID'),
  )

  test.each(['%2e%2e%2f', 'a b', 'x'.repeat(129), '%00'])('the upload session %.40s is unknown', (session) =>
    expect(refused(`/v2/a/blobs/uploads/${session}`)).toBe('BLOB_UPLOAD_UNKNOWN'),
  )

  test('what is repeated in a message is short and printable', () => {
    const path = `/v2/a/manifests/${'\u001b[31m\n'.repeat(1_000)}`
    expect(() => parseRoute(path)).toThrow(/^[\x20-\x7e]{1,260}$/)
  })

  test('any path at all is a route, nothing, or a refusal, in less than 50 ms', () => {
    const word = fc.constantFrom(
      'v2',
      'blobs',
      'uploads',
      'manifests',
      'tags',
      'list',
      'referrers',
      '',
      '..',
      '%2f',
      digest,
    )
    const piece = fc.oneof(word, fc.string({ unit: 'binary', maxLength: 300 }))
    const path = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20_000 }),
      fc.array(piece, { maxLength: 30 }).map((pieces) => `/v2/${pieces.join('/')}`),
    )
    fc.assert(
      fc.property(path, (text) => {
        const before = process.cpuUsage()
        const result = refused(text)
        expect(process.cpuUsage(before).user / 1000).toBeLessThan(50)
        expect(result === undefined || typeof result === 'string' || 'kind' in (result as object)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })
})
