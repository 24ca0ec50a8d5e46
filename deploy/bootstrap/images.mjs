import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { cacheFolder, placeOnce } from './cache.mjs'
import { findOnPath, lastLine, run } from './command.mjs'
import { environmentFor, root } from './environment.mjs'
import { say } from './say.mjs'

const needed = ['buildah', 'mmdebstrap', 'strip']
// What the image of Berth is made of, and what the one that stands in for those of others.
const ofBerth = [
  'deploy/image',
  'deploy/secrets',
  'deploy/standalone/node-flags.json',
  'docs/reference/openapi.json',
  'libs',
  'package.json',
  'patches',
  'pnpm-lock.yaml',
  'pnpm-workspace.yaml',
  'services',
]
const ofStandIn = ['e2e/compose/postgres-entrypoint', 'e2e/compose/stand-ins.sh']
const keptOfEach = 3
const nameOfBerth = 'localhost/berth:test'

/**
 * The environment of tests that run containers: the archives of two images, made of what this checkout holds and kept for as long as that
 * stays the same; else BERTH_TEST_NO_IMAGES with why there are none.
 */
export async function imagesEnvironment(node, servers) {
  const missing = needed.filter((program) => !findOnPath(program))
  if (missing.length > 0)
    return without(`not installed: ${missing.join(', ')} (apt-get install buildah mmdebstrap binutils)`)
  if (process.getuid() !== 0) return without('only root can make images')
  const env = environmentFor(node, servers)
  const berth = await image('berth', ofBerth, [], (out) => ['deploy/image/build.sh', nameOfBerth, out], env)
  const made = [servers.BERTH_NATS_SERVER, servers.BERTH_TEST_MINIO ?? '']
  const standIn = await image('stand-in', ofStandIn, made, (out) => ['e2e/compose/stand-ins.sh', out], env)
  const failed = [berth, standIn].find(({ why }) => why !== undefined)
  if (failed) return without(failed.why)
  return { BERTH_TEST_IMAGE_ARCHIVE: berth.archive, BERTH_TEST_STAND_IN_ARCHIVE: standIn.archive }
}

async function image(name, places, more, command, env) {
  const digest = hash(places, more)
  let why
  try {
    const folder = await placeOnce(`image-${name}-${digest}`, async (partial) => {
      say(`building the image ${name} for the tests with containers (up to a minute)`)
      const [script, ...args] = command(path.join(partial, 'image.tar'))
      const { code, output } = await run(path.join(root, script), args, { env })
      if (code === 0) return
      why = `the image ${name} could not be built: ${lastLine(output)}`
      throw new Error(why)
    })
    forgetOld(name)
    // It is in the archive; the store of the machine need not have it too.
    if (name === 'berth') await run('buildah', ['rmi', nameOfBerth])
    return { archive: path.join(folder, 'image.tar') }
  } catch (error) {
    if (why === undefined) throw error
    return { why }
  }
}

function hash(places, more) {
  const sum = createHash('sha256').update(more.join('\n'))
  for (const file of places.flatMap(filesOf)) sum.update(`\n${file}\n`).update(readFileSync(path.join(root, file)))
  return sum.digest('hex').slice(0, 24)
}

function filesOf(place) {
  if (!statSync(path.join(root, place)).isDirectory()) return [place]
  return readdirSync(path.join(root, place), { withFileTypes: true })
    .filter(({ name }) => name !== 'node_modules' && !/\.(test|fixture)\.ts$/.test(name))
    .map(({ name }) => path.join(place, name))
    .sort()
    .flatMap(filesOf)
}

// Each change of Berth makes another one.
function forgetOld(name) {
  const made = readdirSync(cacheFolder())
    .filter((entry) => entry.startsWith(`image-${name}-`))
    .map((entry) => path.join(cacheFolder(), entry))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)
  for (const folder of made.slice(keptOfEach)) if (existsSync(folder)) rmSync(folder, { recursive: true, force: true })
}

function without(why) {
  say(`THE TESTS WITH CONTAINERS OF BERTH ARE SKIPPED: ${why}`)
  return { BERTH_TEST_NO_IMAGES: why }
}
