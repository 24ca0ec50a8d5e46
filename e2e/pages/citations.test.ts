import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'

const root = fileURLToPath(new URL('../../', import.meta.url))
const skipped = new Set(['node_modules', 'generated', '.git', '.berth', 'coverage'])
const cited = /\bdocs\/[\w/.-]+\.md(?:#[\w-]+|, [A-Z]\d+\b)?/g
const linked = /\]\(((?!https?:)[^)\s#]*)(#[\w-]+)?\)/g

function* filesBelow(folder: string): Iterable<string> {
  for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
    const place = path.join(folder, entry.name)
    if (entry.isDirectory() && !skipped.has(entry.name)) yield* filesBelow(place)
    else if (/\.(ts|mjs|sql|md|yaml)$/.test(entry.name)) yield place
  }
}

const files = [...filesBelow('.')]
const textOf = (file: string) => readFileSync(path.join(root, file), 'utf8')

/** What the headings of a page are linked by (GitHub's rule), and its own anchors. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
  return new Set([...headings, ...[...text.matchAll(/<a id="([\w-]+)">/g)].map(([, id = '']) => id)])
}

/** Why what is named is not there; `undefined` when it is. */
function missing(page: string, part: string | undefined): string | undefined {
  if (!existsSync(path.join(root, page))) return 'no such file'
  if (part === undefined || part === '') return undefined
  const text = textOf(page)
  if (part.startsWith('#')) return anchorsOf(text).has(part.slice(1)) ? undefined : 'no such heading'
  return text.includes(`| ${part} |`) ? undefined : 'no such row'
}

test('every page and section that code and pages cite is there', () => {
  const faults = files.flatMap((file) =>
    [...textOf(file).matchAll(cited)].flatMap(([citation]) => {
      const [page = '', part] = citation.split(/(?=#)|, /)
      const why = missing(page, part)
      return why ? [`${file}: ${citation}: ${why}`] : []
    }),
  )
  expect(faults).toEqual([])
})

test('every link of a page leads somewhere', () => {
  const faults = files
    .filter((file) => file.endsWith('.md'))
    .flatMap((file) =>
      [...textOf(file).matchAll(linked)].flatMap(([link, target = '', part]) => {
        const page = target === '' ? file : path.join(path.dirname(file), target)
        const why = missing(page, page.endsWith('.md') ? part : undefined)
        return why ? [`${file}: ${link}: ${why}`] : []
      }),
    )
  expect(faults).toEqual([])
})

test('every file that a page names by its path is there', () => {
  const named = /`((?:libs|services|deploy|e2e|docs)\/[\w/.-]+\.(?:ts|mjs|sql|md|yaml|json))`/g
  const faults = files
    .filter((file) => file.endsWith('.md') && file !== 'CHANGELOG.md')
    .flatMap((file) =>
      [...textOf(file).matchAll(named)].flatMap(([, target = '']) =>
        existsSync(path.join(root, target)) ? [] : [`${file}: ${target}`],
      ),
    )
  expect(faults).toEqual([])
})

test('nothing cites a document that is not in the repository', () => {
  const inside = new Set(files.map((file) => path.basename(file)))
  const named = /(?<![\w/.-])[\w-]+\.md\b/g
  const faults = files
    .filter((file) => /\.(ts|mjs|sql)$/.test(file))
    .flatMap((file) => {
      const comments = textOf(file)
        .split('\n')
        .filter((line) => /^\s*(\/\/|\*|\/\*|--)/.test(line))
      return comments.flatMap((line) =>
        (line.match(named) ?? []).filter((name) => !inside.has(name)).map((name) => `${file}: ${name}`),
      )
    })
  // Of the specifications that are cited, whose pages have these names.
  const ofOthers =
    /: (descriptor|manifest|image-index|image-layout|spec|protocol|config|layer|annotations|atomic-signature|signature-protocols)\.md$/
  expect(faults.filter((fault) => !ofOthers.test(fault))).toEqual([])
})
