import { asDigest, newestFirst, versionOf } from '@berth/oci'
import type { Problem } from '@berth/service'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { rcompare, valid } from 'semver'
import { checkFilters } from './check-filters.ts'
import { createTagFilter } from './tag-filter.ts'

const hex = 'a'.repeat(64)
const tags = [
  'latest',
  '1.0',
  '1.1',
  '1.1-rc',
  '1.20.3',
  'v1.21.0',
  '1.22.0-beta.1',
  '2.0',
  '20240101',
  `sha256-${hex}.sig`,
]

function choose(include: string[], exclude: string[] = [], from: readonly string[] = tags): readonly string[] {
  const filter = createTagFilter(include, exclude)
  return filter.newest(from.filter((tag) => filter.wants(tag)))
}

describe('which tags are wanted', () => {
  const ordinary = tags.slice(0, -1)
  test.each<[string[], string[], string[]]>([
    [[], [], ordinary],
    [['1.*'], [], ['1.0', '1.1', '1.1-rc', '1.20.3', '1.22.0-beta.1']],
    [['1.*'], ['*-rc'], ['1.0', '1.1', '1.20.3', '1.22.0-beta.1']],
    [[], ['*'], []],
    [['latest', '2.0'], ['2.*'], ['latest']],
    [['latest', '2*'], [], ['latest', '2.0', '20240101']],
    [['semver:>=1.20 <2'], [], ['1.20.3', 'v1.21.0']],
    [['semver:>=1.22.0-0 <2'], [], ['1.22.0-beta.1']],
    [['semver:1.x || 2.0.0'], [], ['1.0', '1.1', '1.20.3', 'v1.21.0', '2.0']],
    [['semver:1.x'], ['semver:<1.20'], ['1.20.3', 'v1.21.0']],
    [['semver:*', 'latest'], ['semver:>=3'], ['latest', '1.0', '1.1', '1.20.3', 'v1.21.0', '2.0']],
    [['newest:2'], [], ['20240101', '2.0']],
    [['newest:2'], ['20*', '*beta*'], ['2.0', 'v1.21.0']],
    [['latest', 'newest:1'], ['20*'], ['latest', '2.0']],
    [['semver:1.x', 'newest:2'], [], ['v1.21.0', '1.20.3']],
    [['sha*', '*.sig'], [], []],
    [[`sha256-${hex}.sig`, '2.0'], [], ['2.0', `sha256-${hex}.sig`]],
  ])('include %j, exclude %j', (include, exclude, wanted) => expect(choose(include, exclude)).toEqual(wanted))

  test('tags are ordered as npm orders the versions that they name', () => {
    const prerelease = fc.stringMatching(/^(-([ab0-2]{1,2}\.){0,2}[ab0-2-]{1,2})?$/)
    const tag = fc
      .tuple(fc.stringMatching(/^v?[0-9]{1,2}(\.[0-9]{1,2}){0,2}$/), prerelease)
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.uniqueArray(tag, { maxLength: 20 }), (names) => {
        const versions = newestFirst(names).flatMap((name) => versionOf(name) ?? [])
        const texts = versions.map(({ version }) => version)
        expect(texts).toEqual(texts.toSorted(rcompare))
        const isVersion = (name: string) => {
          const [, release = '', rest = ''] = /^v?([^-]*)(.*)$/.exec(name) ?? []
          const numbers = release.split('.').map(Number)
          return valid([...numbers, 0, 0].slice(0, 3).join('.') + rest) !== null
        }
        expect(names.filter((name) => versionOf(name) !== undefined)).toEqual(names.filter(isVersion))
      }),
    )
  })

  test('where only tags and digests are named no list is needed, and what is excluded is not asked for', () => {
    const digest = asDigest(`sha256:${hex}`)
    expect(createTagFilter(['a', 'b', digest], ['b'])).toMatchObject({
      exact: ['a'],
      digests: [digest],
      needsList: false,
    })
    expect(createTagFilter(['a', digest], [digest])).toMatchObject({ exact: ['a'], digests: [], needsList: false })
    for (const include of [[], ['a', 'b*'], ['a', 'semver:1'], ['newest:1'], [digest, 'newest:1']])
      expect(createTagFilter(include, []).needsList).toBe(true)
    expect(createTagFilter([], [digest]).excludes(digest)).toBe(true)
  })
})

describe('a filter that cannot be read is refused with the entry and the place', () => {
  test.each<[string, number]>([
    ['v[0-9', 2],
    ['a/b', 2],
    ['latest:1', 7],
    ['semver:', 8],
    ['semver:>=1.20 <<2', 15],
    ['semver:1 || banana', 13],
    ['semver:1.2.3.4', 8],
    ['newest:0', 8],
    ['newest:many', 8],
    ['newest:1000000', 8],
    [`sha256:${'a'.repeat(63)}`, 8],
    [`sha256:${'a'.repeat(62)}XY`, 70],
    ['sha512:abc', 8],
    ['md5:abc', 4],
    ['.hidden', 1],
    ['-rc', 1],
    ['x'.repeat(129), 129],
  ])('%s at position %i', (entry, position) => {
    expect(refusal({ includeTags: ['ok', entry] })).toMatchObject({
      status: 400,
      options: { field: 'includeTags[1]' },
      message: expect.stringContaining(`at position ${position}`),
    })
  })

  test('newest: stands once, and among the includes', () => {
    expect(refusal({ includeTags: ['newest:1', 'newest:2'] })).toMatchObject({ options: { field: 'includeTags[1]' } })
    expect(refusal({ excludeTags: ['a', 'newest:1'] })).toMatchObject({ options: { field: 'excludeTags[1]' } })
  })
})

function refusal(remote: { includeTags?: string[]; excludeTags?: string[] }): Problem | undefined {
  try {
    checkFilters(remote)
  } catch (error) {
    return error as Problem
  }
  return undefined
}
