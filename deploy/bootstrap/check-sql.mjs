// `npm run check`: fails on SQL that is laid out so that it cannot be read, and names it.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { root } from './environment.mjs'
import { faultsOfScript, findCrowdedSql } from './sql-layout.mjs'

const isChecked = (file) => /\/(libs|services)\/.*\.ts$/.test(file) && !/\.test\.ts$|\/generated\//.test(file)
const isScript = (file) => /^(libs|services)\/\w+\/src\/db\/(functions|migrations)\/.*\.sql$/.test(file)

const scripts = ['libs', 'services']
  .flatMap((folder) => readdirSync(path.join(root, folder)).map((name) => path.join(folder, name, 'src')))
  .flatMap((folder) => readdirSync(path.join(root, folder), { recursive: true }).map((file) => path.join(folder, file)))
  .filter(isScript)
const found = [
  ...findCrowdedSql(path.join(root, 'tsconfig.json'), isChecked),
  ...scripts.flatMap((file) =>
    faultsOfScript(readFileSync(path.join(root, file), 'utf8')).map((fault) => `${file} ${fault}`),
  ),
]
for (const one of found) process.stderr.write(`${one}\n`)
process.exitCode = found.length === 0 ? 0 : 1
