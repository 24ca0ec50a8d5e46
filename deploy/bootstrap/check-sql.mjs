// `npm run check`: fails on SQL that is laid out so that it cannot be read, and names it.
import path from 'node:path'
import { root } from './environment.mjs'
import { findCrowdedSql } from './sql-layout.mjs'

const isChecked = (file) => /\/(libs|services)\/.*\.ts$/.test(file) && !/\.test\.ts$|\/generated\//.test(file)
const found = findCrowdedSql(path.join(root, 'tsconfig.json'), isChecked)
for (const one of found) process.stderr.write(`${one}\n`)
process.exitCode = found.length === 0 ? 0 : 1
