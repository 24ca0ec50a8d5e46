import { asDigest, type Digest } from '@berth/oci'
import { expect, test } from '@jest/globals'
import { blobPath, keyOfBlobPath, partIdOfName, partPath } from './paths.ts'

const hex = `ab${'0'.repeat(62)}`
const digest = asDigest(`sha256:${hex}`)

test('a key has one path, and the path leads back to the key', () => {
  expect(blobPath({ digest, generation: 0 })).toBe(`blobs/sha256/ab/${hex}.0`)
  const long = asDigest(`sha512:${'c'.repeat(128)}`)
  for (const key of [
    { digest, generation: 0 },
    { digest, generation: 12 },
    { digest: long, generation: 3 },
  ]) {
    expect(keyOfBlobPath(blobPath(key))).toEqual(key)
  }
})

test.each([
  `blobs/sha256/cd/${hex}.0`,
  `blobs/sha256/ab/${hex}`,
  `blobs/sha256/ab/${hex}.01`,
  `blobs/sha256/ab/${hex}.-1`,
  `blobs/sha256/ab/${hex}.0.tmp`,
  `blobs/sha256/ab/${hex.toUpperCase()}.0`,
  `blobs/sha1/ab/${'ab'.repeat(20)}.0`,
  `x/blobs/sha256/ab/${hex}.0`,
  'blobs',
  '',
])('%s is no blob of ours', (path) => {
  expect(keyOfBlobPath(path)).toBeUndefined()
})

test.each([
  'sha256:../../../../etc/passwd',
  `sha256:${'/'.repeat(64)}`,
  'sha256:',
  '../x',
  `md5:${hex}`,
  `${digest}\0`,
])('the digest %s leads nowhere', (text) => {
  expect(() => blobPath({ digest: text as Digest, generation: 0 })).toThrow('not a digest')
})

test.each([-1, 0.5, Number.NaN, 2 ** 60])('%d is no generation', (generation) => {
  expect(() => blobPath({ digest, generation })).toThrow('not a generation')
})

test('a part has one path, and its name leads back to its id', () => {
  expect(partPath('a-1_B')).toBe('staging/part.a-1_B')
  expect(partIdOfName('part.a-1_B')).toBe('a-1_B')
  expect(partIdOfName('write.a-1_B')).toBeUndefined()
  expect(partIdOfName('part.a.b')).toBeUndefined()
})
