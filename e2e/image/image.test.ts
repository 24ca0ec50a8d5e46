import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { keyEnvironmentOf, makeDatabase, type TestDatabase, testServers } from '@berth/service/testing'
import { freePort } from '@berth/standalone/children'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { runner } from '../clients/client.ts'
import { dockerMissing, startDocker } from '../clients/docker.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const tools = missingPrograms('buildah', 'mmdebstrap', 'strip')
// It takes most of a minute, which the whole of the tests has not.
const isWanted = process.env.BERTH_TEST_IMAGE === 'true'
const lacking = dockerMissing() ?? (tools.length > 0 ? `${tools.join(', ')} not installed` : undefined)
const missing = isWanted ? lacking : 'BERTH_TEST_IMAGE=true builds it'
const group = missing ? describe.skip : describe
const image = 'localhost/berth:test'
const mostBytes = 200_000_000
// As operators run it: nothing of it can be written, and it may do nothing that a process need not.
const confined = ['--network=host', '--read-only', '--cap-drop=ALL', '--security-opt=no-new-privileges']

group(`the container image${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let folder: string
  let daemon: Awaited<ReturnType<typeof startDocker>>
  let docker: ReturnType<typeof runner>
  let database: TestDatabase
  beforeAll(async () => {
    folder = makeTemporaryFolder('image')
    const file = path.join(folder, 'berth.tar')
    const script = fileURLToPath(new URL('../../deploy/image/build.sh', import.meta.url))
    const built = spawnSync(script, [image, file], { encoding: 'utf8' })
    expect([built.status, built.stderr]).toEqual([0, expect.anything()])
    daemon = await startDocker('{}', { runsContainers: true })
    docker = runner('docker', ['--config', daemon.env.DOCKER_CONFIG, '--host', daemon.env.DOCKER_HOST])
    await docker(['load', '--quiet', '--input', file])
    database = await makeDatabase()
  }, 300_000)
  afterAll(async () => {
    await daemon?.stop()
    await database?.drop()
    removeFolder(folder)
    spawnSync('buildah', ['rmi', image])
  }, 60_000)

  test('is small, runs as nobody in particular, and says what it is and how to ask for its health', async () => {
    const [{ Size: bytes, Config: config }] = JSON.parse(await docker(['image', 'inspect', image]))
    expect(bytes).toBeLessThanOrEqual(mostBytes)
    expect(config).toMatchObject({ User: '10001:10001', Entrypoint: ['/opt/berth/berth'], StopSignal: 'SIGTERM' })
    expect(config.Healthcheck.Test).toEqual(['CMD', '/opt/berth/healthy'])
    expect(config.Labels['org.opencontainers.image.version']).toMatch(/^\d+\.\d+\.\d+$/)
  })

  test('has what scanners know its packages by, and no shell script of theirs has run', async () => {
    const listed = await docker([
      'run',
      '--rm',
      ...confined,
      '--entrypoint=/bin/sh',
      image,
      '-c',
      'ls /var/lib/dpkg/status.d',
    ])
    for (const name of ['libc6', 'libstdc++6', 'ca-certificates', 'tzdata']) expect(listed.split('\n')).toContain(name)
  })

  test('names all that it is made of, with versions, in a bill of materials', async () => {
    const text = await docker(['run', '--rm', ...confined, '--entrypoint=/bin/cat', image, '/opt/berth/sbom.json'])
    const { bomFormat, components } = JSON.parse(text) as { bomFormat: string; components: { purl: string }[] }
    expect(bomFormat).toBe('CycloneDX')
    const named = components.map(({ purl }) => purl)
    for (const purl of [
      /^pkg:npm\/express@5\.\d+\.\d+$/,
      /^pkg:npm\/%40prisma\/client@7\./,
      /^pkg:deb\/debian\/libc6@2\..+\?arch=/,
      /^pkg:generic\/node@24\./,
    ])
      expect(named).toContainEqual(expect.stringMatching(purl))
    expect(new Set(named).size).toBe(named.length)
  })

  test('says which services there are, and what each has to be told', async () => {
    const say = (...args: string[]) =>
      docker(['run', '--rm', ...confined, image, ...args]).catch((error: Error) => error.message)
    expect(await say()).toContain('registry, catalog, sync, tasks, build or auth')
    for (const service of ['registry', 'catalog', 'sync', 'tasks', 'build', 'auth'])
      expect(await say(service)).toContain('BERTH_DATABASE_URL is not set')
  }, 60_000)

  test('runs a service that gets healthy, lets people in, and stops when it is told to', async () => {
    const port = await freePort()
    const env = {
      BERTH_DATABASE_URL: database.url,
      BERTH_NATS_URL: testServers().natsUrl,
      BERTH_PORT: String(port),
      BERTH_INTERNAL_PORT: String(await freePort()),
      BERTH_SECRETS_KEY: randomBytes(32).toString('base64'),
      BERTH_ADMIN_PASSWORD: 'correct horse battery',
      ...keyEnvironmentOf('auth'),
    }
    const variables = Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`])
    const id = (await docker(['run', '--detach', ...confined, ...variables, image, 'auth'])).trim()
    const inspect = async (what: string) => (await docker(['inspect', '--format', what, id])).trim()
    await until('it is healthy', async () => (await inspect('{{.State.Health.Status}}')) === 'healthy').catch(
      async (error) => {
        throw new Error(`${error} ${await inspect('{{json .State}}')} ${await docker(['logs', id])}`)
      },
    )
    const authorization = `Basic ${btoa('admin:correct horse battery')}`
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/me`, { headers: { authorization } })
    expect(await answer.json()).toMatchObject({ name: 'admin' })
    await docker(['stop', '--time=10', id])
    expect(await inspect('{{.State.ExitCode}}')).toBe('0')
  }, 60_000)
})
