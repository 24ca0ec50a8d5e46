import { describe, expect, test } from '@jest/globals'
import { isAccepted, knowsOnlySchema1, knowsOnlySingleManifests, parseAccept } from './accept.ts'

const v2 = 'application/vnd.docker.distribution.manifest.v2+json'
const list = 'application/vnd.docker.distribution.manifest.list.v2+json'
const v1 = 'application/vnd.docker.distribution.manifest.v1+json'
const signed = 'application/vnd.docker.distribution.manifest.v1+prettyjws'
const oci = 'application/vnd.oci.image.manifest.v1+json'
const index = 'application/vnd.oci.image.index.v1+json'

describe('a stored Docker manifest list', () => {
  test.each([
    ['podman, skopeo, buildah, CRI-O', [oci, v2, signed, v1, list, index].join(', ')],
    ['docker 20 and later', [v2, list, index, oci, signed, 'application/json'].join(', ')],
    ['docker with the containerd store, containerd', [v2, list, oci, index, '*/*'].join(', ')],
    ['crane, ko, kaniko', [v1, signed, v2, oci, list, index].join(',')],
    ['oras, helm', [v2, list, oci, index, 'application/vnd.oci.artifact.manifest.v1+json'].join(', ')],
    ['curl', '*/*'],
    ['a client that says nothing', undefined],
    ['an empty header', ''],
    ['a browser', 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8'],
    ['Java', 'text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2'],
    ['weights', `${v2};q=1.0, ${list};q=0.5`],
    ['weights of another form', `${v2} ; Q=0.1 , ${list} ; Q=0.001`],
    ['everything of application', `${v2}, application/*;q=0.1`],
    ['indexes, though not this kind', `${v2}, ${index}`],
    ['nothing of manifests', 'application/json'],
    ['a weight that is no number', `${v2}, ${list};q=much`],
    ['parameters', `${v2}, ${list};charset=utf-8`],
    ['other case', `${v2}, ${list.toUpperCase()}`],
  ])('is given as it is to %s', (_name, accept) => expect(knowsOnlySingleManifests(accept)).toBe(false))

  test.each([
    ['schema 1 and 2', [v2, signed, v1, 'application/json'].join(', ')],
    ['images of both kinds', `${v2}, ${oci}`],
    ['curl -H', v2],
    ['weights', `${v2};q=0.8, ${v1};q=0.2`],
    ['lists that are not wanted', `${v2}, ${list};q=0, ${index};q=0.0`],
    ['lists that are not wanted, and anything else', `*/*, ${list};q=0, ${index};q=0`],
    ['schema 1 alone', signed],
  ])('is resolved for %s', (_name, accept) => expect(knowsOnlySingleManifests(accept)).toBe(true))
})

describe('a client of schema 1 only', () => {
  test.each([
    ['both of its types', `${signed}, ${v1}, application/json`],
    ['newer ones that are not wanted', `${signed}, ${v2};q=0`],
  ])('names %s', (_name, accept) => expect(knowsOnlySchema1(accept)).toBe(true))

  test.each([
    ['schema 2 too', `${signed}, ${v2}`],
    ['an index too', `${v1}, ${index};q=0.1`],
    ['anything', `${signed}, */*;q=0.1`],
    ['schema 1 among what it does not want', `${v1};q=0`],
    ['OCI images', oci],
    ['nothing', undefined],
  ])('does not name %s', (_name, accept) => expect(knowsOnlySchema1(accept)).toBe(false))
})

test('the more exact name decides', () => {
  const ranges = parseAccept(`*/*;q=0.1, application/*;q=0, ${v2}`)
  expect(isAccepted(ranges, v2)).toBe(true)
  expect(isAccepted(ranges, list)).toBe(false)
  expect(isAccepted(ranges, 'text/plain')).toBe(true)
})

test('thousands of entries are read in no time', () => {
  const accept = `${v2};q=0.5,`.repeat(700) + ';q=,,;;,'.repeat(1000)
  const startedAt = performance.now()
  expect(knowsOnlySingleManifests(accept)).toBe(true)
  expect(performance.now() - startedAt).toBeLessThan(50)
})
