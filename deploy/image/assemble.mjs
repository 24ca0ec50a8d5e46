import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { run } from '../bootstrap/command.mjs'
import { environmentFor, root } from '../bootstrap/environment.mjs'
import { getNode, getPnpm } from '../bootstrap/node-and-pnpm.mjs'
import { CannotGoOn, say } from '../bootstrap/say.mjs'
import { prepareWorkspace } from '../bootstrap/workspace.mjs'

// What runs: the services and what they are made of. The standalone program brings servers of its own, which an image has not.
const kept = ['libs', 'services', 'deploy/secrets']
const roots = ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', 'patches', 'LICENSE']
const isLeftOut = (file) =>
  /(^|\/)(node_modules|testing|misbehaving-upstream)(\/|$)/.test(file) || /\.(test|fixture)\.ts$/.test(file)
// Of each package what Node reads while it runs.
const isForPeople = (file) => /\.(d\.[cm]?ts|map|md|markdown|flow)$/i.test(file)

/** Puts into a folder all that the services run from, without what only making and testing them takes. Answers the Node that they want. */
export async function assemble(folder) {
  const node = await getNode()
  await prepareWorkspace(node)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const name of [...roots, ...kept])
    cpSync(path.join(root, name), path.join(folder, name), {
      recursive: true,
      filter: (file) => !isLeftOut(path.relative(root, file)),
    })
  say('installing what runs')
  const pnpm = await getPnpm()
  const filters = ['--filter', '{./services/*}...', '--filter', '{./deploy/secrets}...']
  const flags = [
    '--prod',
    '--frozen-lockfile',
    '--trust-lockfile',
    '--ignore-scripts',
    '--reporter=append-only',
    '--package-import-method=copy',
  ]
  const { code, output } = await run(pnpm, ['install', ...flags, ...filters], {
    cwd: folder,
    env: environmentFor(node),
  })
  if (code !== 0) throw new CannotGoOn(`pnpm could not install what runs:\n${output}`)
  prune(path.join(folder, 'node_modules', '.pnpm'))
  const nodeFlags = JSON.parse(readFileSync(path.join(root, 'deploy/standalone/node-flags.json'), 'utf8'))
  writeFileSync(path.join(folder, 'node-flags'), `${nodeFlags.join(' ')}\n`)
  // Of all services: a proxy in front of them gives it.
  cpSync(path.join(root, 'docs/reference/openapi.json'), path.join(folder, 'openapi.json'))
  for (const script of ['berth', 'healthy', 'try.mjs']) {
    cpSync(new URL(script, import.meta.url).pathname, path.join(folder, script))
    chmodSync(path.join(folder, script), 0o755)
  }
  return node
}

function prune(store) {
  for (const name of readdirSync(store)) {
    const inside = path.join(store, name, 'node_modules')
    if (name.startsWith('@types+') || name.startsWith('undici-types@'))
      rmSync(path.join(store, name), { recursive: true })
    else if (name.startsWith('@prisma+client@')) pruneRuntimes(path.join(inside, '@prisma', 'client', 'runtime'))
    else if (name.startsWith('@opentelemetry+')) removeCommonJs(inside, /^@opentelemetry\+([^@]+)@/.exec(name)[1])
    else if (name.startsWith('openpgp@'))
      rmSync(path.join(inside, 'openpgp', 'dist', 'lightweight'), { recursive: true, force: true })
  }
  for (const file of readdirSync(store, { recursive: true }))
    if (isForPeople(file)) rmSync(path.join(store, file), { force: true })
}

/** They bring everything twice, and we import the modules; of the API prom-client takes the other. */
function removeCommonJs(inside, name) {
  if (name === 'api') return
  // Its own folder: beside it are links to the others.
  const folder = path.join(inside, '@opentelemetry', name)
  for (const file of readdirSync(folder, { recursive: true }))
    if (file.endsWith('.cjs')) rmSync(path.join(folder, file), { force: true })
}

/** Prisma brings a compiler of queries for each database, in several forms; the services name the one that they use. */
function pruneRuntimes(folder) {
  const used = new Set(['client.js', 'client.mjs', 'package.json'])
  for (const name of readdirSync(folder)) {
    const isPostgres = /^query_compiler_(fast|small)_bg\.postgresql\./.test(name)
    if (!used.has(name) && !isPostgres) rmSync(path.join(folder, name), { recursive: true })
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const folder = process.argv[2]
  if (!folder) throw new Error('usage: node deploy/image/assemble.mjs FOLDER')
  // For scripts, which have that Node to put into an image.
  process.stdout.write(`${await assemble(path.resolve(folder))}\n`)
}
