import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { runner } from '../clients/client.ts'
import { dockerMissing, startDocker } from '../clients/docker.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const tools = missingPrograms('buildah', 'mmdebstrap', 'strip')
const isWanted = process.env.BERTH_TEST_IMAGE === 'true'
const lacking = dockerMissing() ?? (tools.length > 0 ? `${tools.join(', ')} not installed` : undefined)
const missing = isWanted ? lacking : 'BERTH_TEST_IMAGE=true builds it'
const group = missing ? describe.skip : describe
const image = 'localhost/berth-build:test'
// What a build needs beyond what other services get: namespaces of its own, newuidmap, and a /proc that is not masked.
const forBuilds = ['seccomp=unconfined', 'apparmor=unconfined', 'systempaths=unconfined']
const options = ['--network=none', '--read-only', '--tmpfs=/tmp', ...forBuilds.map((one) => `--security-opt=${one}`)]

/** Run by the Node of the image: builds by the engine that it finds, and says what came of it. */
const program = `
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
const { findEngine } = await import('/opt/berth/services/build/src/engines/find-engine.ts')
const found = await findEngine({ folder: '/tmp/builds' })
if (found.missing) throw new Error(found.missing)
mkdirSync('/tmp/output')
const lines = []
const built = await found.engine.build({
  id: 'first', containerfile: 'FROM scratch\\nCOPY busybox /bin/busybox\\nRUN ["/bin/busybox", "echo", "inside"]\\n',
  context: async () => spawn('tar', ['-c', '-C', '/usr/bin', 'busybox']).stdout,
  bases: new Map(), buildArgs: new Map(), labels: new Map(), target: null, platforms: [], noCache: false, network: 'none',
  secrets: new Map(), sourceDateEpoch: 0, cache: null, output: '/tmp/output',
}, {
  limits: { seconds: 60, memoryBytes: 2 ** 28, processes: 100, diskBytes: 2 ** 27, contextBytes: 2 ** 24, contextFiles: 10 },
  signal: new AbortController().signal, onLine: ({ text }) => lines.push(text), onProgress: () => undefined,
})
console.log(JSON.stringify({ engine: found.engine.name, digest: built.digest, lines }))`

group(`the image with the build engine${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let folder: string
  let daemon: Awaited<ReturnType<typeof startDocker>>
  let docker: ReturnType<typeof runner>
  const build = (...more: string[]) =>
    docker(['run', '--rm', ...more, '--entrypoint=/usr/bin/node', image, '--input-type=module', '--eval', program])
  beforeAll(async () => {
    folder = makeTemporaryFolder('build-image')
    const file = path.join(folder, 'berth.tar')
    const script = fileURLToPath(new URL('../../deploy/image/build.sh', import.meta.url))
    const made = spawnSync(script, ['--with-engine', image, file], { encoding: 'utf8' })
    expect([made.status, made.stderr]).toEqual([0, expect.anything()])
    daemon = await startDocker('{}', { runsContainers: true })
    docker = runner('docker', ['--config', daemon.env.DOCKER_CONFIG, '--host', daemon.env.DOCKER_HOST])
    await docker(['load', '--quiet', '--input', file])
  }, 300_000)
  afterAll(async () => {
    await daemon?.stop()
    removeFolder(folder)
    spawnSync('buildah', ['rmi', image])
  }, 60_000)

  test('builds as its own user, in a container without network that it cannot write to', async () => {
    const { engine, digest, lines } = JSON.parse(await build(...options))
    expect(engine).toBe('buildah')
    expect(digest).toMatch(/^sha256:/)
    expect(lines.join('\n')).toContain('inside')
  }, 90_000)

  test('says what is in the way where the container may not make namespaces', async () => {
    const said = await build('--network=none', '--read-only', '--tmpfs=/tmp').catch((error: Error) => error.message)
    expect(said).toContain('--security-opt seccomp=unconfined')
  }, 90_000)

  test('names the engine in its bill of materials', async () => {
    const text = await docker(['run', '--rm', '--entrypoint=/bin/cat', image, '/opt/berth/sbom.json'])
    expect(text).toMatch(/pkg:deb\/debian\/buildah@1\./)
  })
})
