import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { getManifest, localRemote, make } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import type { Client } from '../clients/client.ts'
import { type Containerd, containerdMissing, startContainerd } from '../clients/containerd.ts'
import { dockerMissing, startDocker } from '../clients/docker.ts'
import { startPodman } from '../clients/podman.ts'
import { missingPrograms } from '../servers/programs.ts'
import {
  borrowUpstreams,
  imageIdOf,
  type Upstreams,
  upstreamLogin,
  upstreamName,
  upstreamPrograms,
} from '../servers/upstreams.ts'

const missing = missingPrograms(...upstreamPrograms)
const group = missing.length > 0 ? describe.skip : describe

group(
  `pulls through a registry that asks for a login${missing.length > 0 ? ` (not installed: ${missing.join(', ')})` : ''}`,
  () => {
    const stack = withBerth()
    let upstreams: Upstreams
    const stops: (() => Promise<void>)[] = []
    beforeAll(async () => {
      upstreams = await borrowUpstreams()
      const login = { username: upstreamLogin.user, password: upstreamLogin.password }
      await make(stack, '/remotes', { ...localRemote('guarded', upstreams.guarded.url, '', login), upstreamName: null })
      const pullThrough = { remote: 'guarded', trigger: 'anonymous' }
      await make(stack, '/distributions', { name: 'hub', basePath: 'hub', access: 'public', pullThrough })
    }, 120_000)
    afterAll(async () => {
      await Promise.allSettled(stops.reverse().map((stop) => stop()))
    }, 60_000)

    const pulls = async (client: Client, tag: string) => {
      stops.push(() => client.stop())
      return client.pull(`${stack.host}/hub/${upstreamName}:${tag}`)
    }
    const testIf = (why: string | undefined) => (why ? test.skip : test)

    testIf(missingPrograms('podman').length > 0 ? 'podman not installed' : undefined)(
      'podman gets the image that upstream has, without knowing its login',
      async () => {
        expect(await pulls(await startPodman(), 'small')).toBe(await imageIdOf(upstreams, 'small'))
      },
      60_000,
    )

    testIf(dockerMissing())(
      'docker gets its platform of a list, and the list is the one that upstream has',
      async () => {
        expect(await pulls(await startDocker(), 'multi')).toMatch(/^sha256:/)
        const path = `/v2/${upstreamName}/manifests/multi`
        const ours = await getManifest(`${stack.url}/v2/hub/${upstreamName}/manifests/multi`)
        expect(ours.text).toBe((await getManifest(`${upstreams.guarded.url}${path}`, upstreamLogin)).text)
      },
      60_000,
    )

    testIf(containerdMissing())(
      'containerd with Berth as the mirror of that registry gets it by the name it has there',
      async () => {
        const containerd: Containerd = await startContainerd()
        stops.push(() => containerd.stop())
        containerd.setHost(upstreams.guarded.host, stack.url)
        const reference = `${upstreams.guarded.host}/${upstreamName}:small`
        const flags = ['--hosts-dir', containerd.hostsFolder, '--snapshotter', 'native']
        await containerd.ctr(['images', 'pull', ...flags, reference])
        const { digest } = await getManifest(`${stack.url}/v2/hub/${upstreamName}/manifests/small`)
        expect(await containerd.ctr(['images', 'ls', `name==${reference}`])).toContain(digest)
      },
      60_000,
    )
  },
)
