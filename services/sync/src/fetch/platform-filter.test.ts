import { asDigest, type Digest, mediaTypes, parseManifest } from '@berth/oci'
import { expect, test } from '@jest/globals'
import { chooseChildren } from './platform-filter.ts'

const digestOf = (n: number): Digest => asDigest(`sha256:${String(n).padStart(64, '0')}`)
type Child = { platform?: object; about?: number; nested?: boolean }

/** Which children of an index (by number) are kept. */
function kept(platforms: string[], children: Child[]): number[] {
  const manifests = children.map(({ platform, about, nested }, i) => ({
    mediaType: nested ? mediaTypes.ociIndex : mediaTypes.ociManifest,
    digest: digestOf(i),
    size: 1,
    ...(platform ? { platform } : {}),
    ...(about === undefined ? {} : { annotations: { 'vnd.docker.reference.digest': digestOf(about) } }),
  }))
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }))
  const chosen = chooseChildren(parseManifest(bytes).references, platforms)
  expect(chosen.kept.length + chosen.omitted.length).toBe(children.length)
  return chosen.kept.map(({ digest }) => Number(digest.slice('sha256:'.length)))
}
const linux = (architecture: string, variant?: string) => ({ platform: { os: 'linux', architecture, variant } })
const attestation = (about: number) => ({ platform: { os: 'unknown', architecture: 'unknown' }, about })

test.each<[string, string[], Child[], number[]]>([
  ['nothing is left out without a filter', [], [linux('amd64'), attestation(0)], [0, 1]],
  ['another architecture is left out', ['linux/amd64'], [linux('amd64'), linux('arm64', 'v8')], [0]],
  ['another system is left out', ['windows/amd64'], [linux('amd64')], []],
  ['a platform without a variant takes all variants', ['linux/arm'], [linux('arm', 'v6'), linux('arm', 'v7')], [0, 1]],
  ['a variant takes only itself', ['linux/arm/v7'], [linux('arm', 'v6'), linux('arm', 'v7')], [1]],
  [
    'a variant takes what says none and usually is that',
    ['linux/arm64/v8', 'linux/arm/v7'],
    [linux('arm64'), linux('arm')],
    [0, 1],
  ],
  ['and not what says none and usually is another', ['linux/arm/v6'], [linux('arm')], []],
  [
    'an attestation goes with its image',
    ['linux/amd64'],
    [linux('amd64'), linux('arm64'), attestation(0), attestation(1)],
    [0, 2],
  ],
  [
    'an unknown platform about nothing is unwanted',
    ['linux/amd64'],
    [{ platform: { os: 'unknown', architecture: 'unknown' } }],
    [],
  ],
  ['what says no platform is kept', ['linux/amd64'], [{}, { nested: true }], [0, 1]],
])('%s', (_title, platforms, children, expected) => expect(kept(platforms, children)).toEqual(expected))
