import { execFile } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { findProgram } from './programs.ts'
import { removeFolder } from './temporary-folder.ts'

const execute = promisify(execFile)

/** Real images in one OCI layout, each under its tag. */
export type BuiltImages = {
  /** The folder of the layout: `oci:FOLDER:TAG` for skopeo. */
  layout: string
  singles: readonly ['small', 'layered']
  /** An image index for two architectures with different content. */
  list: 'multi'
}

type Buildah = (...args: string[]) => Promise<string>

const architectures = ['amd64', 'arm64'] as const
// The same content at each build, so that a test may compare digests of two builds.
const commitFlags = ['--format', 'oci', '--timestamp', '0']

/**
 * The images, built by the first file that asks for them in a run of tests, in the folder that BERTH_TEST_IMAGES names; the others
 * find them there. They are for reading only.
 */
export async function sharedImages(): Promise<BuiltImages> {
  const place = process.env.BERTH_TEST_IMAGES
  if (!place) throw new Error('the test servers are not running: BERTH_TEST_IMAGES is not set')
  const shared = path.join(place, 'built')
  if (!existsSync(shared)) await share(place, shared)
  return imagesIn(shared)
}

async function share(place: string, shared: string): Promise<void> {
  const making = mkdtempSync(path.join(place, 'making-'))
  try {
    await buildImages(making)
    renameSync(making, shared)
  } catch (error) {
    // Two files that ask at once both build; the second finds what the first made, which is the same.
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  } finally {
    removeFolder(making)
  }
}

function imagesIn(folder: string): BuiltImages {
  return { layout: path.join(folder, 'images'), singles: ['small', 'layered'], list: 'multi' }
}

/**
 * Builds images in `folder` with buildah, from nothing but busybox-static, without a network. Its storage is removed
 * again; only the layout stays. Needs `buildah` and `busybox` (programs.ts tells whether they are there).
 */
export async function buildImages(folder: string): Promise<BuiltImages> {
  const images = imagesIn(folder)
  const work = path.join(folder, 'buildah')
  mkdirSync(work, { recursive: true })
  const buildah = buildahIn(work)
  try {
    await buildSingles(buildah, work, images.layout)
    await buildList(buildah, work, images.layout)
  } finally {
    await buildah('rm', '--all')
    // A container's root directory is not writable, which keeps an ordinary user from emptying it.
    await execute('chmod', ['-R', 'u+w', work])
    rmSync(work, { recursive: true, force: true })
  }
  return images
}

// vfs makes no overlay mounts and nothing is run, so nothing is left mounted.
function buildahIn(work: string): Buildah {
  const storage = ['--root', path.join(work, 'root'), '--runroot', path.join(work, 'run'), '--storage-driver', 'vfs']
  const env = { ...process.env, TMPDIR: work }
  return async (...args) => (await execute('buildah', [...storage, ...args], { env })).stdout.trim()
}

async function buildSingles(buildah: Buildah, work: string, layout: string): Promise<void> {
  const busybox = findProgram('busybox')
  if (!busybox) throw new Error('busybox is not installed')
  copyFileSync(busybox, path.join(work, 'busybox'))
  chmodSync(path.join(work, 'busybox'), 0o755)
  const small = await buildah('from', 'scratch')
  await buildah('copy', small, path.join(work, 'busybox'), '/bin/busybox')
  await buildah('config', '--cmd', '["/bin/busybox","echo","small"]', '--label', 'org.example.kind=small', small)
  await buildah('commit', ...commitFlags, small, 'small')
  await buildah('push', 'small', `oci:${layout}:small`)

  const layered = await buildah('from', '--pull-never', 'localhost/small')
  writeFileSync(path.join(work, 'content'), 'layered\n')
  // Copied, not made by `run`: that needs more user ids than an ordinary user may have.
  await buildah('copy', layered, path.join(work, 'content'), '/content')
  await buildah('config', '--cmd', '["/bin/busybox","cat","/content"]', layered)
  await buildah('commit', ...commitFlags, layered, 'layered')
  await buildah('push', 'layered', `oci:${layout}:layered`)
}

async function buildList(buildah: Buildah, work: string, layout: string): Promise<void> {
  await buildah('manifest', 'create', 'multi')
  for (const architecture of architectures) {
    const file = path.join(work, `content-${architecture}`)
    writeFileSync(file, `for ${architecture}\n`.repeat(1000))
    const container = await buildah('from', '--arch', architecture, 'scratch')
    await buildah('copy', container, file, '/content')
    await buildah('config', '--arch', architecture, '--os', 'linux', container)
    await buildah('commit', ...commitFlags, container, `multi-${architecture}`)
    await buildah('manifest', 'add', 'multi', `localhost/multi-${architecture}`)
  }
  await buildah('manifest', 'push', '--all', '--format', 'oci', 'multi', `oci:${layout}:multi`)
}

export type Credentials = { user: string; password: string }

/** Pushes one of the images by skopeo, a list with all its members, to `HOST/NAME:TAG` over plain HTTP. */
export async function pushImage(
  images: BuiltImages,
  tag: string,
  destination: string,
  credentials?: Credentials,
): Promise<void> {
  const login = credentials ? ['--dest-creds', `${credentials.user}:${credentials.password}`] : ['--dest-no-creds']
  const flags = ['--insecure-policy', 'copy', '--all', '--quiet', '--dest-tls-verify=false', ...login]
  await execute('skopeo', [...flags, `oci:${images.layout}:${tag}`, `docker://${destination}`])
}
