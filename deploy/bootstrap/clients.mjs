import { existsSync } from 'node:fs'
import { findOnPath, lastLine, run } from './command.mjs'
import { say } from './say.mjs'

// Real clients, an upstream and a checker of rules, by the Debian package that brings each.
const clients = [
  { program: 'skopeo', packages: ['skopeo'] },
  { program: 'podman', packages: ['podman'] },
  { program: 'buildah', packages: ['buildah'] },
  { program: 'dockerd', packages: ['docker.io', 'iptables'] },
  { program: 'docker-registry', packages: ['docker-registry'] },
  { program: 'htpasswd', packages: ['apache2-utils'] },
  { program: 'busybox', packages: ['busybox-static'] },
  { program: 'nginx', packages: ['nginx-light'] },
  { program: 'promtool', packages: ['prometheus'] },
]

const installMs = 600_000

/**
 * Sees to the real clients: on a Debian CI machine (CI=true, as root) they are installed, elsewhere it only says which
 * are missing and how to get them. Answers the missing ones as BERTH_TEST_MISSING, for the tests and their report.
 */
export async function clientsEnvironment() {
  if (missing().length > 0 && process.env.CI === 'true' && process.getuid() === 0 && findOnPath('apt-get')) {
    await install(missing().flatMap((client) => client.packages))
  }
  const left = missing()
  if (left.length === 0) return { BERTH_TEST_MISSING: '' }
  say(`THE TESTS WITH ${left.map((client) => client.program).join(', ')} ARE SKIPPED: not installed`)
  if (existsSync('/etc/debian_version')) {
    const packages = left.flatMap((client) => client.packages).join(' ')
    say(`to have them: sudo apt-get install --no-install-recommends ${packages}`)
  }
  return { BERTH_TEST_MISSING: left.map((client) => client.program).join(' ') }
}

function missing() {
  return clients.filter((client) => !findOnPath(client.program))
}

async function install(packages) {
  say(`installing ${packages.join(' ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const steps = [
    ['update', '-q'],
    ['install', '-q', '-y', '--no-install-recommends', ...packages],
  ]
  for (const step of steps) {
    const { code, output } = await run('apt-get', step, { env, timeoutMs: installMs })
    if (code !== 0) say(`apt-get ${step[0]} failed: ${lastLine(output)}`)
  }
}
