import { readFileSync } from 'node:fs'
import path from 'node:path'
import { ensureBuildkit } from './buildkit.mjs'
import { cacheFolder } from './cache.mjs'
import { runChecks, runFormat } from './checks.mjs'
import { clientsEnvironment } from './clients.mjs'
import { findOnPath } from './command.mjs'
import { environmentFor, root } from './environment.mjs'
import { runInForeground } from './foreground.mjs'
import { helmEnvironment } from './helm.mjs'
import { imageBeforeEnvironment, imagesBeside, imagesEnvironment } from './images.mjs'
import { keepUp } from './keep-up.mjs'
import { minioEnvironment } from './minio.mjs'
import { natsEnvironment } from './nats-server.mjs'
import { peersEnvironment } from './peers.mjs'
import { pythonEnvironment } from './python-tools.mjs'

/** What the bootstrap can run: each is called with the path of Node and the arguments, and answers the exit code. */
export const commands = {
  start,
  test,
  check: runChecks,
  format: runFormat,
  bench,
  soak,
  backup,
  'e2e:compose': compose,
  'e2e:kubernetes': kubernetes,
  env: printEnvironment,
}

async function start(node, args) {
  if (process.env.BERTH_BUILDS === 'true') await ensureBuildkit()
  const env = environmentFor(node, await natsEnvironment())
  // Without these V8 collects all its garbage about ten times while one large layer streams through.
  const flags = JSON.parse(readFileSync(path.join(root, 'deploy/standalone/node-flags.json'), 'utf8'))
  const program = [...flags, path.join(root, 'deploy/standalone/src/main.ts')]
  return keepUp(node, [...program, ...args], { env })
}

async function test(node, args) {
  const servers = {
    ...(await testEnvironment({ buildMinio: true, buildPeers: false, buildPython: true })),
    ...(await helmEnvironment()),
  }
  const jest = path.join(root, 'node_modules/jest/bin/jest.js')
  const isWanted = process.env.BERTH_TEST_COMPOSE === 'true' || process.env.BERTH_TEST_KUBERNETES === 'true'
  if (!isWanted && runsContainers(args)) {
    const images = imagesBeside(node, servers)
    try {
      return await runInForeground(node, [jest, ...args], { env: environmentFor(node, { ...servers, ...images.env }) })
    } finally {
      await images.end()
    }
  }
  const images = isWanted ? await imagesEnvironment(node, servers) : {}
  if (images.BERTH_TEST_IMAGE_ARCHIVE) Object.assign(images, await imageBeforeEnvironment(node, servers))
  const env = environmentFor(node, { ...servers, ...images })
  return runInForeground(node, [jest, ...args], { env })
}

/** Whether what is run has the main job in containers, and this machine might run it; BERTH_TEST_COMPOSE=false leaves it out. */
function runsContainers(args) {
  const patterns = args.filter((arg) => !arg.startsWith('-'))
  const isAsked = patterns.length === 0 || patterns.some((pattern) => 'e2e/compose/compose.test.ts'.includes(pattern))
  const isPossible = ['docker', 'dockerd', 'docker-compose'].every(findOnPath) && process.getuid?.() === 0
  return isAsked && isPossible && process.env.BERTH_TEST_COMPOSE !== 'false'
}

async function compose(node, args) {
  process.env.BERTH_TEST_COMPOSE = 'true'
  return test(node, ['--runInBand', ...only('e2e/compose', args)])
}

async function backup(node, args) {
  return runInForeground(node, [path.join(root, 'deploy/backup/src/main.ts'), ...args], { env: environmentFor(node) })
}

async function kubernetes(node, args) {
  process.env.BERTH_TEST_KUBERNETES = 'true'
  process.env.BERTH_TEST_KUBERNETES_CACHE ??= path.join(cacheFolder(), 'kubernetes')
  return test(node, ['--runInBand', ...only('e2e/kubernetes', args)])
}

/** Tests of a folder, or of those that are named: jest runs what any of its patterns finds. */
function only(folder, args) {
  return args.some((arg) => !arg.startsWith('-')) ? args : [folder, ...args]
}

async function bench(node, args) {
  const env = environmentFor(node, await testEnvironment({ buildMinio: true, buildPeers: true }))
  return runInForeground(node, [path.join(root, 'e2e/bench/main.ts'), ...args], { env, ownGroup: true })
}

async function soak(node, args) {
  const env = environmentFor(
    node,
    await testEnvironment({ buildMinio: args.includes('--store=s3'), buildPeers: false }),
  )
  return runInForeground(node, [path.join(root, 'e2e/soak/main.ts'), ...args], { env, ownGroup: true })
}

// For a test file that is run by jest itself, without the bootstrap: builds nothing that takes minutes.
async function printEnvironment() {
  const servers = await testEnvironment({ buildMinio: false, buildPeers: false })
  process.stdout.write(`${JSON.stringify(servers)}\n`)
  return 0
}

async function testEnvironment({ buildMinio, buildPeers, buildPython = false }) {
  return {
    ...(await clientsEnvironment()),
    ...(await natsEnvironment()),
    ...(await minioEnvironment({ build: buildMinio })),
    ...(await peersEnvironment({ build: buildPeers })),
    ...(await pythonEnvironment({ build: buildPython })),
  }
}
