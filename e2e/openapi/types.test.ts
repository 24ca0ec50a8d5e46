import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { readApiDocument } from '@berth/service'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const execute = promisify(execFile)
const generator = fileURLToPath(new URL('./node_modules/openapi-typescript/bin/cli.js', import.meta.url))
const header =
  '// Made of openapi.yaml by openapi-typescript: BERTH_TEST_WRITE_DOCS=true npm test -- e2e/openapi/types.test.ts\n'
let folder: string

beforeAll(() => {
  folder = makeTemporaryFolder('openapi-types')
})
afterAll(() => removeFolder(folder))

test.each(['auth', 'build', 'catalog', 'sync', 'tasks'])(
  'the types of the handlers of %s are those of its document (BERTH_TEST_WRITE_DOCS=true writes them)',
  async (service) => {
    const home = new URL(`../../services/${service}/`, import.meta.url)
    const input = path.join(folder, `${service}.json`)
    const output = path.join(folder, `${service}.ts`)
    writeFileSync(input, JSON.stringify(readApiDocument(new URL('openapi.yaml', home))))
    const options = [input, '--output', output, '--default-non-nullable', 'false', '--empty-objects-unknown']
    await execute(process.execPath, [generator, ...options])
    const made = header + readFileSync(output, 'utf8')
    const kept = new URL('src/openapi-types.ts', home)
    if (process.env.BERTH_TEST_WRITE_DOCS === 'true') writeFileSync(kept, made)
    expect(readFileSync(kept, 'utf8') === made).toBe(true)
  },
  30_000,
)
