import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { withBerth } from '../berth/with-berth.ts'
import { findProgram, missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { borrowUpstreams, type Upstreams, upstreamName, upstreamPrograms } from '../servers/upstreams.ts'
import { readTour, screenOf, typeAll } from './tour.ts'

const steps = readTour(new URL('../../README.md', import.meta.url))
const missing = missingPrograms(...upstreamPrograms, 'podman', 'curl')
const describeTour = missing.length === 0 ? describe : describe.skip

describeTour(`the tour in the README${missing.length > 0 ? ` (skipped: ${missing.join(', ')} missing)` : ''}`, () => {
  const stack = withBerth({ own: true, embeddedDatabase: true })
  let upstreams: Upstreams
  let folder: string

  beforeAll(async () => {
    upstreams = await borrowUpstreams()
    folder = makeTemporaryFolder('tour')
  }, 120_000)

  afterAll(async () => {
    if (folder) removeFolder(folder)
  }, 60_000)

  /** The upstream on this machine stands for docker.io; all else is typed as it is written. */
  const here = (command: string) =>
    command
      .replaceAll('localhost:8080', stack.host)
      .replaceAll('the-password-that-npm-start-printed', `'${stack.password}'`)
      .replace('"url": "https://docker.io"', `"url": "${upstreams.open.url}", "allowPrivateAddresses": true`)
      .replace('"upstreamName": "library/alpine"', `"upstreamName": "${upstreamName}"`)
      .replaceAll('3.22', 'small')

  test('does what it says, typed as it is written', async () => {
    expect(steps.length).toBeGreaterThan(15)
    const at = (name: string) => path.join(folder, name)
    const places = `--root ${at('root')} --runroot ${at('run')} --tmpdir ${at('tmp')} --storage-driver vfs --events-backend none`
    const setUp = [
      `export TMPDIR=${folder} REGISTRY_AUTH_FILE=${at('auth.json')}`,
      `printf '{}' > ${at('auth.json')}`,
      `podman() { ${findProgram('podman')} ${places} "$@"; }`,
    ].join('\n')
    const outputs = await typeAll([...steps.map(({ command }) => here(command)), 'podman rmi --all --force'], {
      cwd: folder,
      setUp,
    })
    for (const [i, step] of steps.entries()) expect(outputs[i]).toMatch(screenOf(step))
  }, 180_000)
})
