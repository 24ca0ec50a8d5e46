import path from 'node:path'
import { placeOnce } from './cache.mjs'
import { fetchText, unpackRelease } from './release.mjs'

const version = '2.15.2'
const release = `https://github.com/nats-io/nats-server/releases/download/v${version}`

/**
 * The program from the makers' release. The archive is checked against the SHA256SUMS of the same release: that finds a
 * damaged download, while the transport's TLS vouches for where both come from.
 */
export async function fromRelease() {
  const os = process.platform
  const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch]
  if (!['linux', 'darwin'].includes(os) || !arch) throw new Error(`none for ${os} ${process.arch}`)
  const archive = `nats-server-v${version}-${os}-${arch}.tar.gz`
  const sums = await fetchText(`${release}/SHA256SUMS`)
  const sha256 = sums
    .split('\n')
    .find((line) => line.trim().endsWith(archive))
    ?.split(/\s+/)[0]
  if (!sha256) throw new Error(`the release lists no checksum of ${archive}`)
  const place = await placeOnce(`nats-server-${version}`, (folder) =>
    unpackRelease({ url: `${release}/${archive}`, sha256, folder }),
  )
  return path.join(place, 'nats-server')
}
