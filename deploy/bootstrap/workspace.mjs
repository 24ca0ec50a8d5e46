import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { cacheFolder } from './cache.mjs'
import { findOnPath, lastLine, run } from './command.mjs'
import { environmentFor, root } from './environment.mjs'
import { withLock } from './lock.mjs'
import { getPnpm } from './node-and-pnpm.mjs'
import { CannotGoOn, say } from './say.mjs'

const stampFile = path.join(root, 'node_modules', '.berth-stamp.json')

/**
 * Installs the dependencies and generates the database clients, each only when its inputs changed since it last ran
 * well. With nothing to do it costs a few milliseconds.
 */
export async function prepareWorkspace(node) {
  const packages = packageFolders()
  if (isCurrent(wantedStamp(packages), packages)) return
  mkdirSync(path.join(cacheFolder(), 'locks'), { recursive: true })
  const lock = path.join(cacheFolder(), 'locks', `workspace-${hash([root]).slice(0, 16)}`)
  await withLock(
    lock,
    () => say('another start is installing in this checkout; waiting for it'),
    async () => {
      const wanted = wantedStamp(packages)
      if (readStamp().install !== wanted.install) {
        await install(node)
        writeStamp({ install: wanted.install })
      }
      if (!isCurrent(wanted, packages)) {
        await generateClients(node, packages)
        writeStamp(wanted)
      }
    },
  )
}

// The globs of pnpm-workspace.yaml are all `folder` or `folder/*`; the list ends at the first line that is no item.
function packageFolders() {
  const lines = readFileSync(path.join(root, 'pnpm-workspace.yaml'), 'utf8').split('\n')
  const first = lines.findIndex((line) => line.startsWith('packages:')) + 1
  const length = lines.slice(first).findIndex((line) => !/^\s+- /.test(line))
  const globs = lines.slice(first, first + length).map((line) => line.replace(/^\s+- /, '').replaceAll(/['"]/g, ''))
  return globs
    .flatMap((glob) => {
      if (!glob.endsWith('/*')) return [glob]
      const parent = glob.slice(0, -2)
      if (!existsSync(path.join(root, parent))) return []
      return readdirSync(path.join(root, parent)).map((name) => `${parent}/${name}`)
    })
    .filter((folder) => existsSync(path.join(root, folder, 'package.json')))
    .sort()
}

// Those that a client is generated from.
function schemasOf(packages) {
  return packages
    .map((folder) => path.join(folder, 'src', 'db', 'schema.prisma'))
    .filter((schema) => existsSync(path.join(root, schema)) && /^generator /m.test(read(schema)))
}

function wantedStamp(packages) {
  const roots = ['pnpm-lock.yaml', 'pnpm-workspace.yaml', '.npmrc', 'package.json']
  const manifests = packages.map((folder) => path.join(folder, 'package.json'))
  const platform = `${process.platform}-${process.arch}`
  const install = hash([platform, ...[...roots, ...manifests].map(read)])
  return { install, clients: hash([install, ...schemasOf(packages).map(read)]) }
}

function read(file) {
  const full = path.join(root, file)
  return `${file}\n${existsSync(full) ? readFileSync(full, 'utf8') : ''}`
}

function hash(texts) {
  const sum = createHash('sha256')
  for (const text of texts) sum.update(`${text.length}:${text}`)
  return sum.digest('hex')
}

function isCurrent(wanted, packages) {
  const stamp = readStamp()
  if (stamp.install !== wanted.install || stamp.clients !== wanted.clients) return false
  return schemasOf(packages).every((schema) => existsSync(path.join(root, path.dirname(schema), 'generated')))
}

function readStamp() {
  if (!existsSync(stampFile)) return {}
  try {
    return JSON.parse(readFileSync(stampFile, 'utf8'))
  } catch (error) {
    // A stamp cut short by a crash means only that the work is done again.
    if (error instanceof SyntaxError) return {}
    throw error
  }
}

function writeStamp(stamp) {
  writeFileSync(stampFile, `${JSON.stringify(stamp)}\n`)
}

async function install(node) {
  const pnpm = await getPnpm()
  say('installing the dependencies')
  const flags = [
    '--frozen-lockfile',
    '--trust-lockfile',
    '--config.confirmModulesPurge=false',
    '--reporter=append-only',
  ]
  const { code, output } = await run(pnpm, ['install', ...flags], { cwd: root, env: environmentFor(node) })
  if (code === 0) return
  process.stderr.write(output)
  throw new CannotGoOn(
    `pnpm could not install the dependencies (${lastLine(output)}): the lines above say why; mostly the package registry cannot be reached or the folder ${root} cannot be written to.`,
  )
}

// `prisma generate` looks for an engine that it would download and then does not use; any program that exits 0 will do.
async function generateClients(node, packages) {
  const schemas = schemasOf(packages)
  if (schemas.length === 0) return
  say('generating the database clients')
  const env = environmentFor(node, {
    PRISMA_SCHEMA_ENGINE_BINARY: findOnPath('true') ?? '/bin/true',
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    CHECKPOINT_DISABLE: '1',
  })
  const waiting = [...schemas]
  const worker = async () => {
    for (let schema = waiting.shift(); schema; schema = waiting.shift()) await generateClient(schema, env)
  }
  await Promise.all([worker(), worker()])
}

async function generateClient(schema, env) {
  const folder = path.join(root, schema.replace(/\/src\/db\/schema\.prisma$/, ''))
  const prisma = path.join(folder, 'node_modules', '.bin', 'prisma')
  const { code, output } = await run(prisma, ['generate', '--schema', path.join(root, schema)], { cwd: folder, env })
  if (code === 0) return
  process.stderr.write(output)
  throw new CannotGoOn(`prisma could not generate the client of ${schema}: the lines above say why.`)
}
