import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
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

/**
 * Makes the images beside tests that run already, and says at the place BERTH_TEST_IMAGES_TO_COME what `imagesEnvironment` would answer.
 * `end` waits for that, and takes the place away.
 */
export function imagesBeside(node, servers) {
  // By its name a later run of the tests removes what one that was killed has left.
  const folder = mkdtempSync(path.join(os.tmpdir(), `berth-test-${process.pid}-images-`))
  const place = path.join(folder, 'images.json')
  const made = imagesEnvironment(node, servers)
    .catch((error) => without(lastLine(String(error))))
    .then((answer) => {
      writeFileSync(`${place}.new`, JSON.stringify(answer))
      renameSync(`${place}.new`, place)
    })
  const end = async () => {
    await made
    rmSync(folder, { recursive: true })
  }
  return { env: { BERTH_TEST_IMAGES_TO_COME: place }, end }
}

/**
 * The image of the release before, made of the commit that deploy/release.json names: BERTH_TEST_IMAGE_BEFORE_ARCHIVE, or
 * BERTH_TEST_NO_IMAGE_BEFORE with why there is none. Its name is `localhost/berth:before`.
 */
export async function imageBeforeEnvironment(node, servers) {
  const { commit, version } = JSON.parse(readFileSync(path.join(root, 'deploy/release.json'), 'utf8'))
  const known = await run('git', ['cat-file', '-e', `${commit}^{commit}`], { cwd: root })
  if (known.code !== 0) {
    const why = `the history here lacks the commit ${commit} of release ${version}`
    say(`AN UPGRADE FROM THE RELEASE BEFORE IS NOT TESTED: ${why}`)
    return { BERTH_TEST_NO_IMAGE_BEFORE: why }
  }
  const folder = await placeOnce(`image-before-${commit}`, async (partial) => {
    say(`building the image of release ${version} for the test of an upgrade (up to a minute)`)
    const source = path.join(partial, 'source')
    const archive = path.join(partial, 'source.tar')
    mkdirSync(source)
    await must('git', ['archive', '--output', archive, commit], { cwd: root })
    await must('tar', ['-xf', archive, '-C', source], {})
    const build = path.join(source, 'deploy/image/build.sh')
    await must(build, ['localhost/berth:before', path.join(partial, 'image.tar')], {
      env: environmentFor(node, servers),
    })
    rmSync(source, { recursive: true })
    rmSync(archive)
  })
  return { BERTH_TEST_IMAGE_BEFORE_ARCHIVE: path.join(folder, 'image.tar') }
}

async function must(program, args, options) {
  const { code, output } = await run(program, args, options)
  if (code !== 0) throw new Error(`${program} ${args[0]}: ${lastLine(output)}`)
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
