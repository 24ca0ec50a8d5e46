// `npm run check`: fails on each promise that may be left without a handler, and names it.
import path from 'node:path'
import { root } from './environment.mjs'
import { findUnheldPromises } from './held-promises.mjs'

// An unhandled rejection in a test fails that test, which is what it is for.
const isChecked = (file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !file.includes('/generated/')
const found = findUnheldPromises(path.join(root, 'tsconfig.json'), isChecked)
for (const one of found)
  process.stderr.write(
    `${one}: await or return it, give it to Promise.all, or give it a handler, before the next await or branch\n`,
  )
process.exitCode = found.length === 0 ? 0 : 1
