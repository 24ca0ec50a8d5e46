import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '@berth/standalone/children'
import type { ServiceName } from '@berth/standalone/origin'
import { askBerth, type Berth, type BerthPlace } from '../berth/berth.ts'
import type { EventsPlace } from '../berth/events.ts'
import { until } from '../berth/processes.ts'
import { runner } from '../clients/client.ts'
import { dockerMissing, startDocker } from '../clients/docker.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

/** Where the files of docker compose are. */
export const composeFolder = fileURLToPath(new URL('../../deploy/compose/', import.meta.url))
export const composeFile: string = path.join(composeFolder, 'docker-compose.yaml')
const upAndDown = fileURLToPath(new URL('up-and-down.mjs', import.meta.url))
export const images = { berth: 'localhost/berth:test', standIn: 'localhost/berth-stand-in:latest' }
// A network that machines have rarely, and that runs side by side do not share; its first address is this machine.
const network = `10.213.${1 + (process.pid % 250)}`
const subnet = `${network}.0/24`
const gateway = `${network}.1`

/** Why containers of Berth cannot be tested here, or are not asked for; undefined when they can. */
export function composeMissing(): string | undefined {
  if (process.env.BERTH_TEST_COMPOSE !== 'true') return 'npm run e2e:compose runs it'
  return programsMissing() ?? process.env.BERTH_TEST_NO_IMAGES
}

/** As `composeMissing`, for what `npm test` runs too: the images are made beside other tests, and waited for. */
export async function composeMissingYet(): Promise<string | undefined> {
  const place = process.env.BERTH_TEST_IMAGES_TO_COME
  if (process.env.BERTH_TEST_COMPOSE === 'true') return composeMissing()
  if (process.env.BERTH_TEST_COMPOSE === 'false') return 'BERTH_TEST_COMPOSE is false'
  const programs = programsMissing()
  if (programs !== undefined) return programs
  if (place === undefined) return 'npm test makes the images for it; jest alone does not'
  await until('the images are made, or cannot be', () => existsSync(place), 300_000)
  Object.assign(process.env, JSON.parse(readFileSync(place, 'utf8')))
  return process.env.BERTH_TEST_NO_IMAGES
}

function programsMissing(): string | undefined {
  const programs = missingPrograms('docker-compose')
  return dockerMissing() ?? (programs.length > 0 ? 'docker-compose not installed' : undefined)
}

/** How many of each run. */
export type Replicas = Partial<Record<Exclude<ServiceName, 'build'>, number>>

/** Berth as deploy/compose runs it, in a docker of its own. */
export type Composed = {
  stack: Berth
  events: EventsPlace
  docker: ReturnType<typeof runner>
  /** docker-compose for this environment. */
  compose: ReturnType<typeof runner>
  /** The same with another file and other settings. */
  composeBy(file: string, env: Record<string, string>): ReturnType<typeof runner>
  /** What a shell does first, so that its `docker-compose` is for this environment. */
  shell: string
  /** The containers of a service. */
  containers(service: string): Promise<string[]>
  /** Waits until a container is healthy. */
  healthy(container: string): Promise<void>
  /** The address of this machine, as containers reach it. */
  gateway: string
  stop(): Promise<void>
}

/** Files that change docker-compose.yaml, in their order, and the settings that they want; `file`: another one in its place; archives of more images. */
type Changes = { file?: string; files?: readonly string[]; env?: Record<string, string>; archives?: readonly string[] }

/** Brings deploy/compose up and waits until all of it is healthy. */
export async function startCompose(
  replicas: Replicas = {},
  { file = composeFile, files = [], env = {}, archives = [] }: Changes = {},
): Promise<Composed> {
  const daemon = await startDocker('{}', { runsContainers: true })
  const docker = runner('docker', ['--config', daemon.env.DOCKER_CONFIG, '--host', daemon.env.DOCKER_HOST])
  const own = [process.env.BERTH_TEST_IMAGE_ARCHIVE, process.env.BERTH_TEST_STAND_IN_ARCHIVE]
  for (const archive of [...own, ...archives]) await docker(['load', '--quiet', '--input', archive as string])
  const port = await freePort()
  const environment = {
    ...daemon.env,
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    NOSPIN: '1',
    BERTH_PORT: String(port),
    BERTH_SUBNET: subnet,
    BERTH_IMAGE: images.berth,
    ...Object.fromEntries(['POSTGRES', 'NATS', 'PROXY'].map((name) => [`BERTH_${name}_IMAGE`, images.standIn])),
    ...Object.fromEntries(
      Object.entries(replicas).map(([name, count]) => [`BERTH_${name.toUpperCase()}_REPLICAS`, String(count)]),
    ),
    ...env,
  }
  const name = `cicontainerberthzzdivzz${Date.now()}`
  const folder = makeTemporaryFolder('compose')
  const end = async () => {
    removeFolder(folder)
    await daemon.stop()
  }
  let whole: string
  let down: () => Promise<void>
  try {
    whole = files.length === 0 ? file : await merge([file, ...files], folder, environment)
    down = await bringUp(whole, name, environment)
  } catch (error) {
    await end()
    throw error
  }
  const compose = runner('docker-compose', ['-p', name, '-f', whole], environment)
  const composeBy = (other: string, more: Record<string, string>) =>
    runner('docker-compose', ['-p', name, '-f', other], { ...environment, ...more })
  const stop = async () => {
    try {
      await down()
    } finally {
      await end()
    }
  }
  const quoted = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`
  const shell = [
    ...Object.entries(environment).map(([key, value]) => `export ${key}=${quoted(value ?? '')}`),
    `docker-compose() { command docker-compose -p ${name} -f ${quoted(whole)} "$@"; }`,
  ].join('\n')
  const containers = async (service: string) => (await compose(['ps', '-q', service])).split('\n').filter(Boolean)
  const healthy = (container: string) =>
    until(
      `${container} is healthy`,
      async () => (await docker(['inspect', '--format', '{{.State.Health.Status}}', container])) === 'healthy',
      120_000,
    ).then(() => undefined)
  try {
    const all = (await compose(['ps', '-q'])).split('\n').filter(Boolean)
    const [secrets] = await containers('secrets')
    for (const container of all) if (container !== secrets) await healthy(container)
    const secretOf = (key: string) => compose(['run', '--rm', '--entrypoint', `cat /secrets/${key}`, 'secrets'])
    const [nats = ''] = await containers('nats')
    const address = await docker([
      'inspect',
      '--format',
      '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}',
      nats,
    ])
    return {
      stack: berthAt(port, await secretOf('admin-password')),
      events: { url: `nats://${address}:4222`, seed: await secretOf('nats-seed-reader') },
      docker,
      compose,
      composeBy,
      shell,
      containers,
      healthy,
      gateway,
      stop,
    }
  } catch (error) {
    const said = await compose(['logs', '--no-color', '--tail=20']).catch(String)
    await stop()
    throw new Error(`${String(error)}\n${said}`, { cause: error })
  }
}

/** One file of several, for docker-compose-mocha takes one. */
async function merge(files: readonly string[], folder: string, env: NodeJS.ProcessEnv): Promise<string> {
  const merged = path.join(folder, 'docker-compose.yaml')
  const all = files.flatMap((one) => ['-f', one])
  writeFileSync(merged, await runner('docker-compose', all, env)(['config']), { mode: 0o600 })
  return merged
}

/** Brings an environment up by docker-compose-mocha; answers what brings it down. */
async function bringUp(file: string, name: string, env: NodeJS.ProcessEnv): Promise<() => Promise<void>> {
  const child = spawn(process.execPath, [upAndDown, file, name], { env, stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text))
  const ended = once(child, 'close').then(([code]) => code as number)
  const isUp = await Promise.race([until('it is up', () => /^up$/m.test(said), 600_000), ended.then(() => false)])
  if (!isUp) throw new Error(`docker-compose does not come up:\n${said.slice(-4000)}`)
  return async () => {
    child.stdin.end()
    const code = await ended
    if (code !== 0) throw new Error(`docker-compose does not go down:\n${said.slice(-4000)}`)
  }
}

// Its home and its process are in containers.
function berthAt(port: number, password: string): Berth {
  const url = `http://localhost:${port}`
  const place: BerthPlace = { url, port, home: '', pid: 0, password, databaseUrl: undefined, output: '/dev/null' }
  return { ...place, host: `localhost:${port}`, user: 'admin', ...askBerth(() => place) }
}
