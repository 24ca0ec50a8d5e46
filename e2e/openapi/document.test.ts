import { execFile } from 'node:child_process'
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { mergeDocuments } from '@berth/standalone/origin'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const execute = promisify(execFile)
const here = fileURLToPath(new URL('./', import.meta.url))
const reference = fileURLToPath(new URL('../../docs/reference/openapi.json', import.meta.url))
const text = `${JSON.stringify(mergeDocuments(), null, 2)}\n`
let folder: string
let file: string

beforeAll(() => {
  folder = makeTemporaryFolder('openapi')
  file = path.join(folder, 'openapi.json')
  writeFileSync(file, text)
})
afterAll(() => removeFolder(folder))

/** Runs a program of a package of ours; throws with all that it has written when it fails. */
async function runTool(program: string, args: string[]): Promise<void> {
  const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }
  const script = path.join(here, 'node_modules', program)
  try {
    await execute(process.execPath, [script, ...args], { cwd: folder, env, maxBuffer: 16 << 20 })
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    throw new Error(`${program} ${args.join(' ')} failed:\n${stdout}\n${stderr}`, { cause: error })
  }
}

test('docs/reference/openapi.json is the document that Berth gives (BERTH_TEST_WRITE_DOCS=true writes it)', () => {
  if (process.env.BERTH_TEST_WRITE_DOCS === 'true') writeFileSync(reference, text)
  expect(readFileSync(reference, 'utf8') === text).toBe(true)
})

test('the document passes the rules that redocly recommends', async () => {
  await runTool('@redocly/cli/bin/cli.js', [
    'lint',
    '--config',
    path.join(here, 'redocly.yaml'),
    '--max-problems',
    '50',
    file,
  ])
}, 60_000)

test('every operation says what it answers when something is wrong, and there is one Problem and one Task', () => {
  const { paths, components } = mergeDocuments() as {
    paths: Record<string, Record<string, { responses?: Record<string, unknown> }>>
    components: { schemas: Record<string, unknown> }
  }
  const operations = Object.values(paths).flatMap((item) => Object.values(item).filter(({ responses }) => responses))
  expect(operations.length).toBeGreaterThan(60)
  for (const { responses } of operations) expect(responses).toHaveProperty('default')
  expect(Object.keys(components.schemas).filter((name) => /^\w+(Problem|Task)$/.test(name))).toEqual([])
})

test('a TypeScript program against the generated types compiles, and one that is wrong does not', async () => {
  await runTool('openapi-typescript/bin/cli.js', [file, '--output', path.join(folder, 'api.ts')])
  symlinkSync(path.join(here, 'node_modules'), path.join(folder, 'node_modules'))
  const program = (field: string) => `import type { components, operations } from './api'
    type Reply = operations['startSync']['responses'][202]['content']['application/json']
    const task: Reply = {} as components['schemas']['Task']
    const made: operations['createRepository']['requestBody']['content']['application/json'] = { name: 'team/app' }
    const listed: components['schemas']['RepositoryPage'] = { items: [], next: null }
    export const seen = [task.state, made.name, listed.items?.[0]?.${field}]`
  const compile = async (field: string) => {
    writeFileSync(path.join(folder, 'program.ts'), program(field))
    await runTool('typescript/bin/tsc', ['--noEmit', '--strict', '--skipLibCheck', '--target', 'esnext', 'program.ts'])
  }
  await compile('latestVersion')
  await expect(compile('latestVersoin')).rejects.toThrow(/latestVersoin/)
}, 60_000)

test('no field of a change has a default: what is not sent stays as it is', () => {
  type Schema = { $ref?: string; default?: unknown; properties?: Record<string, Schema> }
  const document = mergeDocuments() as {
    paths: Record<string, { patch?: { requestBody?: { content: { 'application/json': { schema: Schema } } } } }>
  }
  const found = (schema: Schema): Schema => {
    let one: unknown = schema
    for (let ref = schema.$ref; ref !== undefined; ref = (one as Schema).$ref)
      one = ref
        .slice(2)
        .split('/')
        .reduce((at, key) => (at as Record<string, unknown>)[key], document as unknown)
    return one as Schema
  }
  const changes = Object.entries(document.paths).flatMap(([at, { patch }]) => {
    const schema = patch?.requestBody?.content['application/json']?.schema
    return schema ? [[at, found(schema).properties ?? {}] as const] : []
  })
  expect(changes.length).toBeGreaterThan(8)
  const withDefaults = changes.flatMap(([at, fields]) =>
    Object.entries(fields).flatMap(([name, field]) => ('default' in found(field) ? [`${at} ${name}`] : [])),
  )
  expect(withDefaults).toEqual([])
})
