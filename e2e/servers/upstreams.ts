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
  open: Pick<Upstream, 'url' | 'host'>
  guarded: Pick<Upstream, 'url' | 'host'>
}

/** What these need to be installed. */
export const upstreamPrograms = ['buildah', 'skopeo', 'busybox', 'docker-registry', 'htpasswd']

/** Fills the registries with the images of the run; the open one has all of them, the guarded one `small` and `multi`. */
export async function startUpstreams(): Promise<Upstreams & { stop(): Promise<void> }> {
  const stops: (() => Promise<void>)[] = []
  const stop = async () => void (await Promise.all(stops.map((one) => one())))
  try {
    const images = await sharedImages()
    const open = await startDockerRegistry()
    stops.push(() => open.stop())
    const guarded = await startDockerRegistry({ htpasswd: upstreamLogin })
    stops.push(() => guarded.stop())
    await fill({ images, open, guarded })
    return { images, open, guarded, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Those that all files of the run use, which they only read. */
export async function borrowUpstreams(): Promise<Upstreams> {
  const answer = await fetch(`${process.env.BERTH_TEST_LENDER}/upstreams`)
  if (!answer.ok) throw new Error(await answer.text())
  return (await answer.json()) as Upstreams
}

/** The image id (digest of the configuration) of a single image. */
export async function imageIdOf({ images }: Upstreams, tag: string): Promise<string> {
  const { stdout } = await execute('skopeo', ['inspect', '--raw', `oci:${images.layout}:${tag}`])
  return (JSON.parse(stdout) as { config: { digest: string } }).config.digest
}

async function fill({ images, open, guarded }: Upstreams): Promise<void> {
  for (const tag of [...images.singles, images.list])
    await pushImage(images, tag, `${open.host}/${upstreamName}:${tag}`)
  for (const tag of ['small', images.list] as const)
    await pushImage(images, tag, `${guarded.host}/${upstreamName}:${tag}`, upstreamLogin)
}
