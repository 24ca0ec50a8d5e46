import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type BuiltImages, buildImages, pushImage } from './servers/images.ts'
import { makeTemporaryFolder, removeFolder } from './servers/temporary-folder.ts'
import { startDockerRegistry, type Upstream } from './servers/upstream.ts'

const execute = promisify(execFile)

export const upstreamName = 'library/busybox'
export const upstreamLogin = { user: 'reader', password: 'letters' }

/** Real images, and two registries that hold them: an open one, and one that asks for `upstreamLogin`. */
export type Upstreams = {
  images: BuiltImages
  open: Upstream
  guarded: Upstream
  /** The image id (digest of the configuration) of a single image. */
  imageId(tag: string): Promise<string>
  stop(): Promise<void>
}

/** What these need to be installed. */
export const upstreamPrograms = ['buildah', 'skopeo', 'busybox', 'docker-registry', 'htpasswd']

/** Builds the images and fills the registries; the open one has all of them, the guarded one `small` and `multi`. */
export async function startUpstreams(): Promise<Upstreams> {
  const folder = makeTemporaryFolder('images')
  const stops: (() => Promise<void>)[] = [async () => removeFolder(folder)]
  const stop = async () => void (await Promise.all(stops.map((one) => one())))
  try {
    const images = await buildImages(folder)
    const open = await startDockerRegistry()
    stops.push(() => open.stop())
    const guarded = await startDockerRegistry({ htpasswd: upstreamLogin })
    stops.push(() => guarded.stop())
    await fill(images, open, guarded)
    const imageId = async (tag: string) => {
      const { stdout } = await execute('skopeo', ['inspect', '--raw', `oci:${images.layout}:${tag}`])
      return (JSON.parse(stdout) as { config: { digest: string } }).config.digest
    }
    return { images, open, guarded, imageId, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function fill(images: BuiltImages, open: Upstream, guarded: Upstream): Promise<void> {
  for (const tag of [...images.singles, images.list])
    await pushImage(images, tag, `${open.host}/${upstreamName}:${tag}`)
  for (const tag of ['small', images.list] as const)
    await pushImage(images, tag, `${guarded.host}/${upstreamName}:${tag}`, upstreamLogin)
}
