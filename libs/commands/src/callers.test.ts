import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { callers } from './callers.ts'

test('the map in ARCHITECTURE.md says who asks whom as the table does', () => {
  const map = readFileSync(new URL('../../../ARCHITECTURE.md', import.meta.url), 'utf8')
  const [, section = ''] = /### Who asks whom\n(.*?)\n### /s.exec(map) ?? []
  const found: Record<string, Set<string>> = {}
  for (const [, service = '', askers = ''] of section.matchAll(/^\| `(\w+)` \| (.*?) \|$/gm))
    found[service] = new Set([...askers.matchAll(/`(\w+)`/g)].map(([, asker = '']) => asker))
  const wanted = Object.entries(callers).map(([service, commands]) => {
    return [service, new Set(Object.values(commands).flat())]
  })
  expect(found).toEqual(Object.fromEntries(wanted))
})
