import { readFileSync, writeFileSync } from 'node:fs'
import { builtInRoles, type Verb, verbs } from '@berth/access'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { withBerth } from '../berth/with-berth.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { openSkopeoShell, typePage } from './skopeo-shell.ts'

const reference = new URL('../../docs/reference/access.md', import.meta.url)
const roles: [string, readonly Verb[]][] = Object.entries(builtInRoles)
const head = `| Verb | What it lets do | ${roles.map(([name]) => name).join(' | ')} |`
const table = /^\| Verb \|.*\n(?:\|.*\n)+/m

test('the reference has the verbs and roles that there are (BERTH_TEST_WRITE_DOCS=true writes them)', () => {
  const rows = Object.entries(verbs).map(([verb, meaning]) => {
    const marks = roles.map(([, has]) => (has.includes(verb as Verb) ? 'yes' : ''))
    return `| \`${verb}\` | ${meaning} | ${marks.join(' | ')} |`
  })
  const wanted = `${[head, `|${' --- |'.repeat(roles.length + 2)}`, ...rows].join('\n')}\n`
  const page = readFileSync(reference, 'utf8')
  if (process.env.BERTH_TEST_WRITE_DOCS === 'true')
    writeFileSync(
      reference,
      page.replace(table, () => wanted),
    )
  expect(table.exec(readFileSync(reference, 'utf8'))?.[0]).toBe(wanted)
})

const missing = missingPrograms('skopeo', 'curl')
const describePages = missing.length > 0 ? describe.skip : describe

describePages(`the pages about teams${missing.length > 0 ? ` (skipped: ${missing.join(', ')} missing)` : ''}`, () => {
  const stack = withBerth()
  let folder: string
  let setUp: string

  beforeAll(async () => {
    folder = makeTemporaryFolder('pages-access')
    setUp = await openSkopeoShell(stack, folder)
  }, 90_000)
  afterAll(() => {
    if (folder) removeFolder(folder)
  })

  test.each([
    ['robots', 8],
    ['teams', 8],
    ['schedules', 5],
    ['tasks', 5],
  ])(
    '%s do what they say, typed as they are written',
    async (name, steps) => {
      expect(await typePage(name, name, stack, { cwd: folder, setUp })).toBeGreaterThan(steps)
    },
    120_000,
  )
})
