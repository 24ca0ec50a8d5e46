import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const root = fileURLToPath(new URL('../../', import.meta.url))
let folder: string
let found: string[]

const unheld = {
  derived: 'const got = work(); const derived = got.then(String); if (derived) await got; await derived',
  awaitedLater: 'const later = work(); await work(); await later',
  awaitedInBranch: 'const maybe = work(); if (Date.now() > 1) await maybe',
  leftInMap: 'const kept = work(); map.set("a", kept)',
  insideFunction: 'const inside = work(); const use = async () => { await inside }; await use()',
  assigned: 'let given = Promise.resolve(1); given = work(); await work(); await given',
  rethrowing: 'const again = work().catch((error) => { throw error }); await work(); await again',
  thrownAway: 'void work()',
}
const held = {
  awaited: 'const one = work(); await one',
  together: 'const one = work(); const two = work(); await Promise.all([one, two.then(String)])',
  returned: 'const one = work(); return one',
  handled: 'const one = work(); one.catch(() => 1); await work(); await one',
  handledAtOnce: 'const one = work().catch(() => 1); await work(); await one',
  handedOver: 'const one = work(); take(one); await work()',
  deciding: 'const one = work(); if (await one) return',
  lookedUp: 'const one = map.get("a"); await work(); await one',
  cannotFail: 'const one = new Promise<void>((resolve) => setImmediate(resolve)); await work(); await one',
}

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), `berth-test-${process.pid}-promises-`))
  mkdirSync(path.join(folder, 'src'))
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'))
  const config = { compilerOptions: { target: 'esnext', types: ['node'], strict: true }, include: ['src'] }
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(config))
  const functions = Object.entries({ ...unheld, ...held }).map(
    ([name, body]) => `export async function ${name}(): Promise<unknown> {\n${body}\n}`,
  )
  writeFileSync(
    path.join(folder, 'src/a.ts'),
    `declare function work(): Promise<number>
     declare function take(promise: Promise<number>): void
     declare const map: Map<string, Promise<number>>
     ${functions.join('\n')}\nexport {}`,
  )
  const script = `import { findUnheldPromises } from ${JSON.stringify(new URL('./held-promises.mjs', import.meta.url).href)}
    console.log(findUnheldPromises(${JSON.stringify(path.join(folder, 'tsconfig.json'))}, () => true).join('\\n'))`
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  })
  // What the compiler says of its own end, which it may do or not, is no failure.
  if (status !== 0) throw new Error(stderr)
  found = stdout.trim().split('\n')
}, 30_000)
afterAll(() => rmSync(folder, { recursive: true }))

test('each promise that may be left without a handler is found, and no other', () => {
  const names = found.map((line) => line.split(' ')[1])
  expect(names).toEqual(['derived', 'later', 'maybe', 'kept', 'inside', 'given', 'again', 'void'])
})
