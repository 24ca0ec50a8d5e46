import { existsSync } from 'node:fs'
import path from 'node:path'
import { cacheFolder } from './cache.mjs'
import { findOnPath } from './command.mjs'
import { goInstall, hasGo } from './go-install.mjs'
import { say } from './say.mjs'

// What Berth is measured against, besides Debian's docker-registry.
const peers = [
  {
    variable: 'BERTH_TEST_DISTRIBUTION',
    name: 'distribution',
    version: 'v3.1.2',
    module: 'github.com/distribution/distribution/v3/cmd/registry',
    built: 'registry',
  },
  {
    variable: 'BERTH_TEST_CRANE',
    name: 'crane',
    version: 'v0.22.1',
    module: 'github.com/google/go-containerregistry/cmd/crane',
  },
]

/** The paths of the peers as environment; those that are missing are built only when `build` is true and there is Go. */
export async function peersEnvironment({ build }) {
  const environment = {}
  for (const peer of peers) {
    const program = process.env[peer.variable] || cached(peer) || (build ? await built(peer) : undefined)
    if (program) environment[peer.variable] = program
  }
  return environment
}

function cached({ name, version }) {
  const program = path.join(cacheFolder(), `${name}-${version}`, name)
  if (existsSync(program)) return program
  return name === 'crane' ? findOnPath(name) : undefined
}

async function built(peer) {
  if (!hasGo()) {
    say(`${peer.name} is not measured: there is no Go to build it`)
    return undefined
  }
  try {
    say(`building ${peer.name} ${peer.version} with Go for the comparison, once`)
    return await goInstall(peer)
  } catch (error) {
    say(`${peer.name} is not measured: ${error.message}`)
    return undefined
  }
}
