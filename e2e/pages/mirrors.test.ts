import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { withBerth } from '../berth/with-berth.ts'
import { dockerMissing, startDocker } from '../clients/docker.ts'
import { findProgram, missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { borrowUpstreams, type Upstreams, upstreamName, upstreamPrograms } from '../servers/upstreams.ts'
import { readTour, screenOf, typeAll } from './tour.ts'

const page = new URL('../../docs/how-to/docker-and-podman.md', import.meta.url)
const missing = missingPrograms(...upstreamPrograms, 'curl')
const describePage = missing.length > 0 ? describe.skip : describe
const whyNoDocker = dockerMissing()
const whyNoPodman = missingPrograms('podman').length > 0 ? 'podman not installed' : undefined
const testIf = (why: string | undefined) => (why ? test.skip : test)
const skipped = (why: string | undefined) => (why ? ` (skipped: ${why})` : '')

/** A file of the page by the name of its block. */
function block(name: string): string {
  const found = new RegExp(`^\`\`\`\\w+ ${name}\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(readFileSync(page, 'utf8'))?.[1]
  if (!found) throw new Error(`the page has no block ${name}`)
  return found
}

describePage(`the page about docker and podman${skipped(missing.length > 0 ? missing.join(', ') : undefined)}`, () => {
  // Of its own: of namespaces that others have taken away the registry hears within a minute.
  const stack = withBerth({ own: true })
  let upstreams: Upstreams
  let folder: string

  /** The upstream on this machine stands for Docker Hub; all else is typed as it is written. */
  const here = (text: string) =>
    text
      .replace('"url": "https://docker.io"', `"url": "${upstreams.open.url}", "allowPrivateAddresses": true`)
      .replaceAll('https://berth.example.com', stack.url)
      .replaceAll('library/alpine', upstreamName)
      .replaceAll('alpine:', 'busybox:')
      .replaceAll('3.22', 'small')
      .replaceAll('3.21', 'layered')

  /** Types what blocks of the page say and compares what is then on the screen. */
  async function types(names: string[], setUp: string, mend: (text: string) => string = (text) => text): Promise<void> {
    const steps = names.flatMap((name) => readTour(page, name))
    const berth = `export BERTH=${stack.url} LOGIN='${stack.user}:${stack.password}'\n${setUp}`
    const commands = steps.map(({ command }) => mend(here(command)))
    const outputs = await typeAll(commands, { cwd: folder, setUp: berth })
    for (const [i, step] of steps.entries())
      expect(outputs[i]).toMatch(screenOf({ ...step, output: step.output.map((line) => mend(here(line))) }))
  }
  const isHere = async (tag: string) => {
    const { body } = await stack.api('GET', `/repositories/${encodeURIComponent(`hub/${upstreamName}`)}/tags?q=${tag}`)
    return body.items?.length === 1
  }

  beforeAll(async () => {
    upstreams = await borrowUpstreams()
    folder = makeTemporaryFolder('mirrors')
    await types(['set-up'], '')
  }, 120_000)
  afterAll(() => {
    if (folder) removeFolder(folder)
  })

  testIf(whyNoDocker)(
    `docker pulls by plain names through Berth, and passes it by with a login of Docker Hub${skipped(whyNoDocker)}`,
    async () => {
      const docker = await startDocker(here(block('daemon')))
      try {
        const found = Object.entries(docker.env)
          .map(([name, value]) => `export ${name}='${value}'`)
          .join('\n')
        await types(['docker', 'seen'], found)
        expect(await isHere('small')).toBe(true)
        // Nothing of Docker Hub can be reached from here.
        mkdirSync(docker.env.DOCKER_CONFIG)
        const auths = { 'https://index.docker.io/v1/': { auth: btoa('somebody:a password there') } }
        writeFileSync(path.join(docker.env.DOCKER_CONFIG, 'config.json'), JSON.stringify({ auths }))
        await expect(types(['docker'], found, (text) => text.replaceAll('small', 'layered'))).rejects.toThrow(
          'docker.io',
        )
        expect(await isHere('layered')).toBe(false)
      } finally {
        await docker.stop()
      }
    },
    60_000,
  )

  testIf(whyNoPodman)(
    `podman pulls by the names of the registry through Berth${skipped(whyNoPodman)}`,
    async () => {
      const at = (name: string) => path.join(folder, name)
      // To the upstream itself podman speaks https only, so what it gets it has from Berth.
      const mend = (text: string) =>
        text
          .replaceAll('docker.io', upstreams.open.host)
          .replace('"berth.example.com/hub"', `"${stack.host}/hub"\ninsecure = true`)
          .replace('podman login', 'podman login --tls-verify=false')
          .replaceAll('berth.example.com', stack.host)
      writeFileSync(at('registries.conf'), mend(here(block('podman'))))
      writeFileSync(at('auth.json'), '{}')
      const places = `--root ${at('root')} --runroot ${at('run')} --tmpdir ${at('tmp')} --storage-driver vfs --events-backend none`
      const setUp = [
        `export TMPDIR=${folder} REGISTRY_AUTH_FILE=${at('auth.json')} CONTAINERS_REGISTRIES_CONF=${at('registries.conf')}`,
        `podman() { ${findProgram('podman')} ${places} "$@"; }`,
      ].join('\n')
      await types(['podman', 'seen'], setUp, mend)
      for (const tag of ['small', 'layered']) expect(await isHere(tag)).toBe(true)
      await typeAll(['podman rmi --all --force'], { cwd: folder, setUp })
    },
    120_000,
  )
})
