import type { Digest } from '@berth/oci'
import { describe, expect, test } from '@jest/globals'
import { digestOf, pack, packImages, sourceOf, tarOf } from './archive.fixture.ts'
import { openTar } from './archive.ts'
import { readContents } from './contents.ts'
import type { ExportedDistribution } from './document.ts'
import { createLineReader } from './list-lines.ts'
import { indexName } from './member-names.ts'

const app = packImages('team/app', { v1: [300] })
const [manifest = '' as Digest] = app.manifests.keys()
const served: ExportedDistribution = {
  name: 'team/app',
  basePath: 'team/app',
  repository: 'team/app',
  access: 'private',
  redirect: false,
  convertToSchema1: false,
}

/** An archive whose index document has something else at a place. */
function changed(change: (index: Record<string, Record<string, object>[]>) => void): Buffer {
  const members = new Map(pack([app], { distributions: [served] }))
  const index = JSON.parse(String(members.get(indexName))) as Record<string, Record<string, object>[]>
  change(index)
  return tarOf(members.set(indexName, Buffer.from(`${JSON.stringify(index)}\n`)))
}
const repository = (fields: object) => changed((index) => void Object.assign(index.repositories?.[0] ?? {}, fields))
const distribution = (fields: object) => changed((index) => void Object.assign(index.distributions?.[0] ?? {}, fields))

describe('what the API would not take is refused with its place', () => {
  const hash = '0'.repeat(64)
  test.each<[what: string, tar: Buffer, reason: RegExp]>([
    [
      'a warning of two lines',
      distribution({ warning: 'a\r\nb: c' }),
      /distributions\[0\]\.warning is no warning on one/,
    ],
    ['a name with a line', distribution({ name: 'a\nb' }), /distributions\[0\]\.name is no name of a distribution/],
    ['a base path that is none', distribution({ basePath: 'A B' }), /distributions\[0\]\.basePath is no base path/],
    [
      'a version of no version',
      distribution({ version: 2 ** 40 }),
      /distributions\[0\]\.version is more than 2147483647/,
    ],
    ['U+0000 in a text', repository({ description: 'a\0b' }), /repositories\[0\]\.description holds U\+0000/],
    ['half a pair in a label', repository({ labels: { a: '\ud800' } }), /repositories\[0\]\.labels\.a holds U\+0000/],
    ['very long patterns', repository({ immutableTags: ['v'.repeat(129)] }), /immutableTags\[0\] has more than 128/],
    [
      'a base that is no number of a version',
      repository({ since: { number: 2 ** 40, contentHash: hash } }),
      /since\.number is more than 2147483647/,
    ],
  ])('%s', async (_what, tar, reason) => {
    const reading = openTar(sourceOf(tar)).then((archive) => readContents(archive))
    await expect(reading).rejects.toThrow(reason)
  })

  const other = digestOf('another manifest')
  test.each<[what: string, line: object, reason: RegExp]>([
    ['a type of no manifest', { manifest, size: 1, mediaType: 'text/html' }, /^list:1\.mediaType is no type of a/],
    [
      'a signature whose name has a line',
      { signature: `${manifest}@a\nb`, digest: manifest, content: 'YQ==' },
      /^list:1\.signature is no name of a signature/,
    ],
    [
      'a signature of another manifest',
      { signature: `${other}@${'0'.repeat(32)}`, digest: manifest, content: 'YQ==' },
      /^list:1\.signature is no name/,
    ],
    [
      'a signature that is none',
      { signature: `${manifest}@${'0'.repeat(32)}`, digest: manifest, content: 'a\0b' },
      /^list:1\.content is no signature/,
    ],
  ])('%s', (_what, line, reason) => {
    expect(() => createLineReader('list')(JSON.stringify(line))).toThrow(reason)
  })
})
