import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type BuiltImages, pushImage, sharedImages } from './images.ts'
import { startDockerRegistry, type Upstream } from './upstream.ts'

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

/** Fills the registries with the images of the run; the open one has all of them, the guarded one `small` and `multi`. */
export async function startUpstreams(): Promise<Upstreams> {
  const stops: (() => Promise<void>)[] = []
  const stop = async () => void (await Promise.all(stops.map((one) => one())))
  try {
    const images = await sharedImages()
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
