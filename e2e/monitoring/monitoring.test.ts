import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { load } from 'js-yaml'
import { withBerth } from '../berth/with-berth.ts'

type Rule = { alert: string; expr: string; labels: { severity: string }; annotations: Record<string, string> }
type Panel = { title: string; targets: { expr: string }[] }

const root = new URL('../../', import.meta.url)
const folder = new URL('deploy/monitoring/', root)
const textOf = (path: string, from = folder) => readFileSync(new URL(path, from), 'utf8')
const { groups } = load(textOf('rules.yaml')) as { groups: { rules: Rule[] }[] }
const rules = groups.flatMap((group) => group.rules)
const runbooks = readdirSync(new URL('docs/runbooks/', root)).filter((file) => file !== 'README.md')
const dashboards = readdirSync(new URL('dashboards/', folder)).map((file) => ({
  file,
  panels: (JSON.parse(textOf(`dashboards/${file}`)) as { panels: Panel[] }).panels,
}))

const stack = withBerth()
const metrics = async () => (await fetch(`${stack.url}/metrics`)).text()

/** The families that a Berth shows, with the names of the series of histograms and summaries. */
async function shown(): Promise<Set<string>> {
  const families = [...(await metrics()).matchAll(/^# TYPE (\S+) (\S+)$/gm)]
  return new Set(
    families.flatMap(([, name = '', type = '']) =>
      /histogram|summary/.test(type) ? ['', '_bucket', '_sum', '_count'].map((end) => `${name}${end}`) : [name],
    ),
  )
}

function namesIn(expr: string): string[] {
  return expr.match(/\b(?:berth_\w+|up\b)/g) ?? []
}

test('each metric that an alert or a dashboard names is one that Berth shows', async () => {
  const known = (await shown()).add('up')
  const named = [
    ...rules.map(({ alert, expr }) => ({ where: alert, expr })),
    ...dashboards.flatMap(({ file, panels }) =>
      panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ where: `${file}: ${title}`, expr }))),
    ),
  ]
  for (const { where, expr } of named) expect({ where, names: namesIn(expr) }).not.toEqual({ where, names: [] })
  const unknown = named.flatMap(({ where, expr }) =>
    namesIn(expr)
      .filter((name) => !known.has(name))
      .map((name) => `${where}: ${name}`),
  )
  expect(unknown).toEqual([])
})

test('each metric of its own that Berth shows is in the documentation, and the other way round', async () => {
  const page = textOf('docs/reference/metrics.md', root)
  const documented = page
    .split('\n')
    .filter((line) => line.startsWith('| `berth_'))
    .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`(berth_\w+)`/g)].map(([, name]) => name))
  const own = [...(await metrics()).matchAll(/^# TYPE (\S+)/gm)].flatMap(([, name = '']) =>
    /^berth_(process|nodejs)_/.test(name) ? [] : [name],
  )
  expect(new Set(documented)).toEqual(new Set(own))
})

test('each alert has a page that is called after it, and each page an alert', () => {
  const pages = rules.map(({ alert, annotations }) => {
    const page = annotations.runbook_url ?? ''
    expect(textOf(page, root)).toMatch(
      new RegExp(`^# ${alert}\n\nSeverity: (critical|warning)\\.\n\n## What it means\n`),
    )
    expect(textOf('docs/runbooks/README.md', root)).toContain(`[${alert}](${page.split('/').at(-1)})`)
    return page.split('/').at(-1)
  })
  expect(new Set(pages)).toEqual(new Set(runbooks))
})

test('what the pages have asked of the API is there to be asked', async () => {
  const asked = new Set(
    runbooks.flatMap((file) =>
      [...textOf(`docs/runbooks/${file}`, root).matchAll(/^curl -fsS -u "\$LOGIN" \$BERTH'?(\/api\/v1[^'\s]*)/gm)].map(
        ([, path = '']) => path,
      ),
    ),
  )
  expect(asked.size).toBeGreaterThan(10)
  for (const path of asked) {
    const { status, body } = await stack.api('GET', path.slice('/api/v1'.length).replace('…', 'a'.repeat(64)))
    // Those with a name of something that is not here.
    const isNamed = /\/(ID|REMOTE)\b|=REMOTE|sha256:|\/collect/.test(path)
    expect({ path, status, code: body.code }).toEqual({
      path,
      status: isNamed ? expect.any(Number) : 200,
      code: isNamed && status !== 200 ? expect.not.stringMatching(/no_such_path|invalid_request/) : undefined,
    })
  }
})

const hasPromtool = spawnSync('promtool', ['--version']).error === undefined
const describePromtool = hasPromtool ? describe : describe.skip
describePromtool(`promtool${hasPromtool ? '' : ' (skipped: install prometheus, or set PATH)'}`, () => {
  const promtool = (args: string[], input?: string) => {
    const { status, stdout, stderr } = spawnSync('promtool', args, {
      cwd: fileURLToPath(folder),
      input,
      encoding: 'utf8',
    })
    return { status, said: `${stdout}${stderr}` }
  }

  test('finds no fault in what /metrics answers', async () => {
    const { said } = promtool(['check', 'metrics'], await metrics())
    // What Node's own metrics are called is not ours to say.
    const ours = said.split('\n').filter((line) => line !== '' && !/^berth_(nodejs|process)_/.test(line))
    expect(ours).toEqual([])
  })

  test('finds no fault in the rules, and drives each alert over its limit and back', () => {
    expect(promtool(['check', 'rules', '--lint=all', 'rules.yaml'])).toMatchObject({ status: 0 })
    const files = readdirSync(folder).filter((file) => file.endsWith('.test.yaml'))
    const tested = files.flatMap((file) => (load(textOf(file)) as { tests: { name: string }[] }).tests)
    expect(tested.map(({ name }) => name).sort()).toEqual(rules.map(({ alert }) => alert).sort())
    const { status, said } = promtool(['test', 'rules', ...files])
    expect({ status, said }).toMatchObject({ status: 0 })
  })
})
