import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { expectSound, sendRaw } from './raw.ts'
import { checkProperty } from './runs.ts'
import { privateName, publicName, type Scene } from './scene.ts'

const roles = ['none', 'anonymous', 'reader', 'admin', 'wrong'] as const
type Role = (typeof roles)[number]
const methods = ['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND']

const words = [
  'v2',
  'open',
  'app',
  'closed',
  'manifests',
  'blobs',
  'uploads',
  'tags',
  'list',
  'referrers',
  'latest',
  '_catalog',
  '_oci',
]
const hostile = [
  '',
  '.',
  '..',
  '%2e%2e',
  '%2f',
  '%2F..%2f',
  '%5c',
  '\\',
  '%00',
  '\0',
  '%',
  '%zz',
  '%25',
  ';',
  '?',
  '?n=-1',
  '#',
  '&',
  '%20',
  '*',
  'OPEN',
  'Latest',
  'a'.repeat(256),
  'a'.repeat(10_000),
  `${'a/'.repeat(2_000)}a`,
  '-a',
  'a-',
  'a..b',
  'a__b',
  'ａ',
  '\u{1f6a2}',
  '%c0%ae',
  '%e2%80%ae',
  'sha256:xyz',
  'sha256:',
  ':',
  'md5:d41d8cd98f00b204e9800998ecf8427e',
  `sha512:${'0'.repeat(127)}`,
  `sha256:${'G'.repeat(64)}`,
  '__proto__',
  'constructor',
]

/** Whatever the path, the method and the caller: no fault, and nothing that a second, plainer router would not give. */
export function pathProperties(scene: () => Scene): void {
  test('paths of every kind, by everybody: never a 5xx, and a 2xx only for what is there and may be seen', async () => {
    const known = Object.values(scene().digests)
    const good = [publicName, privateName].flatMap((name) =>
      [
        'manifests/latest',
        `manifests/${known[0]}`,
        `blobs/${known[1]}`,
        `blobs/${known[2]}`,
        'tags/list',
        `referrers/${known[0]}`,
        'blobs/uploads/',
        'blobs/uploads/00000000-0000-4000-8000-000000000000',
      ].map((tail) => `${name}/${tail}`),
    )
    const piece = fc.oneof(
      fc.constantFrom(...words, ...known),
      fc.constantFrom(...hostile),
      fc.string({ unit: 'binary', maxLength: 6 }).map((text) => text.replace(/[\r\n ]/g, '%')),
    )
    const built = fc.array(piece, { minLength: 1, maxLength: 8 }).map((pieces) => pieces.join('/'))
    // Something put into, or taken out of, a path that is right.
    const bent = fc
      .tuple(fc.constantFrom(...good), piece, fc.nat(), fc.constantFrom(0, 0, 1, 5))
      .map(([path, text, at, away]) => path.slice(0, at % path.length) + text + path.slice((at % path.length) + away))
    const path = fc.oneof(
      { arbitrary: built, weight: 2 },
      { arbitrary: bent, weight: 3 },
      { arbitrary: fc.constantFrom('', ...good), weight: 2 },
    )
    const role = fc.oneof(
      { arbitrary: fc.constantFrom<Role>('none', 'anonymous', 'reader', 'admin'), weight: 15 },
      { arbitrary: fc.constant<Role>('wrong'), weight: 1 },
    )
    let cases = 0
    await checkProperty(600, [path, fc.constantFrom(...methods), role], async (tail, method, who) => {
      // The administrator may write, so only reads are sent with that login.
      const verb = who === 'admin' && method !== 'HEAD' ? 'GET' : method
      const target = `/v2/${tail}`
      const headers = headersOf(scene(), who, ++cases)
      const reply = await sendRaw(scene().stack.url, { method: verb, target, headers })
      const isHttp = /^[\x21-\x7e]*$/.test(target)
      if (isHttp) expectSound(reply, verb)
      // Not even a request line: node's parser refuses it without a body.
      else expect([400, 401, 404, 405]).toContain(reply.status)
      const mayBe = mayRead(scene(), who, verb, target)
      const gave = reply.status < 300
      if (mayBe !== undefined && isHttp) expect({ target, verb, who, gave }).toEqual({ target, verb, who, gave: mayBe })
    })
  }, 120_000)

  test('parameters of any value: lists answer or refuse them, for those who may ask', async () => {
    const value = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }).map((text) => encodeURIComponent(text.toWellFormed())),
      fc.constantFrom(
        '%00',
        '%',
        '%ff',
        '-1',
        '0',
        '1e9',
        '99999999999999999999',
        'latest',
        "'",
        '%ED%A0%80',
        'x'.repeat(5_000),
      ),
    )
    const name = fc.constantFrom(
      'n',
      'last',
      'artifactType',
      'mount',
      'from',
      'digest',
      'tag',
      'digest-algorithm',
      'ns',
      '__proto__',
    )
    const query = fc
      .array(
        fc.tuple(name, value).map((pair) => pair.join('=')),
        { maxLength: 4 },
      )
      .map((pairs) => pairs.join('&'))
    const lists = [
      '_catalog',
      `${publicName}/tags/list`,
      `${publicName}/referrers/${scene().digests.manifest}`,
      `${publicName}/blobs/uploads/`,
      `${publicName}/manifests/latest`,
    ]
    await checkProperty(250, [fc.constantFrom(...lists), query], async (list, query) => {
      const method = list.endsWith('uploads/') ? 'POST' : 'GET'
      const headers = { authorization: scene().authorization.admin }
      const reply = await sendRaw(scene().stack.url, { method, target: `/v2/${list}?${query}`, headers })
      expectSound(reply, method)
    })
  }, 60_000)

  test('what is no digest is told so, wherever one belongs', async () => {
    const hex = fc.string({
      unit: fc.constantFrom(...'0123456789abcdefABCDEF'.split('')),
      minLength: 60,
      maxLength: 68,
    })
    const almost = fc
      .tuple(fc.constantFrom('sha256', 'sha512', 'SHA256', 'md5', ''), fc.constantFrom(':', '', '::', '-'), hex)
      .map((parts) => parts.join(''))
    const notOne = fc.oneof(almost, fc.string({ maxLength: 100 })).filter((text) => !isDigest(text))
    const places = ['blobs', 'referrers', 'digest', 'end', 'manifest'] as const
    await checkProperty(150, [notOne, fc.constantFrom(...places)], async (text, place) => {
      const { wire } = scene()
      const encoded = encodeURIComponent(text)
      const uploads = `/v2/${publicName}/blobs/uploads/`
      const ask = {
        blobs: () => wire.send('GET', `/v2/${publicName}/blobs/${encoded}`),
        referrers: () => wire.send('GET', `/v2/${publicName}/referrers/${encoded}`),
        digest: () => wire.send('POST', `${uploads}?digest=${encoded}`),
        end: async () => wire.send('PUT', `${await wire.begin(publicName)}?digest=${encoded}`),
        manifest: () => wire.send('PUT', `/v2/${publicName}/manifests/x:${encoded}`),
      }
      const { status, body } = await ask[place]()
      // An empty last segment is no blob but the place of uploads, or nothing at all.
      expect(text === '' ? [400, 404, 405] : [400, 404]).toContain(status)
      expect(JSON.parse(body.toString()).errors[0].code).toMatch(/^[A-Z_]+$/)
    })
  }, 60_000)
}

function headersOf({ authorization }: Scene, role: Role, number: number): Record<string, string> {
  if (role === 'none') return {}
  if (role !== 'wrong') return { authorization: authorization[role] }
  // Another guesser each time, from another address: it is not the limit of guesses that is looked at here.
  const forwarded = `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`
  return { authorization: `Basic ${btoa(`nobody-${number}:wrong`)}`, 'x-forwarded-for': forwarded }
}

function isDigest(text: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(text) || /^sha512:[0-9a-f]{128}$/.test(text)
}

/** The plain router: whether this is to be given; `undefined` where the query decides. */
function mayRead({ digests }: Scene, role: Role, method: string, target: string): boolean | undefined {
  if (role === 'wrong' || (method !== 'GET' && method !== 'HEAD')) return false
  const [path = '', query] = target.split(/\?(.*)/s)
  if (path === '/v2/' || path === '/v2') return role !== 'none'
  if (path === '/v2/_catalog') return role === 'none' ? false : undefined
  const [, name = '', kind = '', tail = ''] = /^\/v2\/(.+)\/(manifests|blobs|tags|referrers)\/([^/]*)$/.exec(path) ?? []
  const last = decodeOnce(tail)
  const isThere = name === publicName || name === privateName
  const isSeen = name === publicName || role === 'admin'
  if (!isSeen) return false
  if (kind === 'tags') return isThere && last === 'list' ? (query === undefined ? true : undefined) : false
  if (kind === 'manifests') return isThere && (last === 'latest' || last === digests.manifest)
  if (kind === 'blobs') return isThere && Object.values(digests).includes(last) && last !== digests.manifest
  // What has no referrers has an empty list of them, were it not even there.
  return kind === 'referrers' && isDigest(last) && isName(name)
}

function decodeOnce(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function isName(text: string): boolean {
  const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
  return text.length <= 255 && text.split('/').every((part) => component.test(part))
}
