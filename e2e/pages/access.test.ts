import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { builtInRoles, type Verb, verbs } from '@berth/access'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { pushRandomImage } from '../berth/push.ts'
import { basic } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { findProgram, missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { readTour, screenOf, typeAll } from './tour.ts'

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

describePages(`the pages about access${missing.length > 0 ? ` (skipped: ${missing.join(', ')} missing)` : ''}`, () => {
  const stack = withBerth()
  let folder: string
  let setUp: string

  beforeAll(async () => {
    folder = makeTemporaryFolder('pages-access')
    writeFileSync(path.join(folder, 'auth.json'), '{}')
    // Berth speaks no TLS here.
    const skopeo = findProgram('skopeo')
    const insecure = `case $1 in
      login) set -- "$@" --tls-verify=false;;
      copy) shift; set -- copy --src-tls-verify=false --dest-tls-verify=false "$@";;
      inspect) shift; set -- inspect --tls-verify=false "$@";;
    esac`
    setUp = [
      `export BERTH=${stack.url} LOGIN='${stack.user}:${stack.password}'`,
      `export TMPDIR=${folder} REGISTRY_AUTH_FILE=${folder}/auth.json`,
      `skopeo() { ${insecure}\n${skopeo} --insecure-policy "$@"; }`,
    ].join('\n')
    await pushRandomImage({ url: stack.url, authorization: basic(stack) }, 'pages-access/source', '1')
    const source = `docker://${stack.host}/pages-access/source:1`
    await typeAll([`skopeo copy -q --src-creds "$LOGIN" ${source} oci:app:1`], { cwd: folder, setUp })
  }, 90_000)
  afterAll(() => {
    if (folder) removeFolder(folder)
  })

  test.each(['robots', 'teams'])(
    '%s do what they say, typed as they are written',
    async (name) => {
      const here = (text: string) => text.replaceAll('berth.example.com', stack.host)
      const steps = readTour(new URL(`../../docs/how-to/${name}.md`, import.meta.url), name)
      expect(steps.length).toBeGreaterThan(8)
      const outputs = await typeAll(
        steps.map(({ command }) => here(command)),
        { cwd: folder, setUp },
      )
      for (const [i, step] of steps.entries())
        expect(outputs[i]).toMatch(screenOf({ ...step, output: step.output.map(here) }))
    },
    120_000,
  )
})
