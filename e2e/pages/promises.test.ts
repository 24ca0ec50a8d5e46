import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'

const root = new URL('../../', import.meta.url)
const textOf = (file: string) => readFileSync(new URL(file, root), 'utf8')
const rows = [...textOf('docs/reference/promises.md').matchAll(/^\| (.*?) ?\| `([^`]+)`: (.+) \|$/gm)].map(
  ([, promise = '', file = '', name = '']) => ({ promise, file, name }),
)

test('every promise of the table names a test that is there', () => {
  expect(rows.length).toBeGreaterThan(45)
  const missing = rows.filter(({ file, name }) => !existsSync(new URL(file, root)) || !textOf(file).includes(name))
  expect(missing).toEqual([])
})

test('every promise of the README is in the table', () => {
  const bullets = [...textOf('README.md').matchAll(/^- \*\*(.+?)\*\*/gm)].map(([, text = '']) =>
    text.replace(/[.,]$/, ''),
  )
  expect(bullets.length).toBe(5)
  const promised = rows.map(({ promise }) => promise)
  expect(bullets.filter((bullet) => !promised.includes(bullet))).toEqual([])
})
