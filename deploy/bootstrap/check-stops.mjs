// `npm run check`: fails where a program listens for an abort that may have come before, and names the place.
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { root } from './environment.mjs'
import { findMissedStops } from './missed-stops.mjs'

const files = globSync('{libs,services,deploy}/**/*.ts', {
  cwd: root,
  exclude: (name) => name.endsWith('node_modules') || name.endsWith('.test.ts'),
})
const found = files.flatMap((file) =>
  findMissedStops(readFileSync(path.join(root, file), 'utf8')).map((line) => `${file}:${line}`),
)
for (const one of found) process.stderr.write(`${one}: look whether the signal is aborted already\n`)
process.exitCode = found.length === 0 ? 0 : 1
