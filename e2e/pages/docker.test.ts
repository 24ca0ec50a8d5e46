import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { make, sync } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { dockerMissing, startDocker } from '../clients/docker.ts'
import { missingPrograms } from '../servers/programs.ts'
import { borrowUpstreams, type Upstreams, upstreamName, upstreamPrograms } from '../servers/upstreams.ts'
import { readTour, screenOf, typeAll } from './tour.ts'

const steps = readTour(new URL('../../docs/how-to/clients.md', import.meta.url), 'docker')
const missing = missingPrograms(...upstreamPrograms)
const why = missing.length > 0 ? `${missing.join(', ')} missing` : dockerMissing()
const describePage = why ? describe.skip : describe

describePage(`the page for users of docker${why ? ` (skipped: ${why})` : ''}`, () => {
  const stack = withBerth()
  let upstreams: Upstreams
  let docker: Awaited<ReturnType<typeof startDocker>>

  beforeAll(async () => {
    ;[upstreams, docker] = await Promise.all([borrowUpstreams(), startDocker()])
    const name = 'library/alpine'
    const remote = {
      name: 'alpine',
      url: upstreams.open.url,
      upstreamName,
      allowPrivateAddresses: true,
      includeTags: ['small'],
    }
    await make(stack, '/remotes', remote)
    await make(stack, '/repositories', { name })
    await make(stack, '/distributions', { name: 'alpine', basePath: name, repository: name, access: 'public' })
    await sync(stack, name, 'alpine')
  }, 120_000)
  afterAll(async () => {
    await docker?.stop()
  }, 60_000)

  test('does what it says, typed as it is written', async () => {
    expect(steps.length).toBe(4)
    const here = (text: string) => text.replaceAll('localhost:8080', stack.host).replaceAll('3.22', 'small')
    const variables = Object.entries({ ...docker.env, LOGIN: `admin:${stack.password}` })
    const setUp = variables.map(([name, value]) => `export ${name}='${value}'`).join('\n')
    const outputs = await typeAll(
      steps.map(({ command }) => here(command)),
      { cwd: stack.home, setUp },
    )
    for (const [i, step] of steps.entries()) expect(outputs[i]).toMatch(screenOf(step))
  }, 60_000)
})
