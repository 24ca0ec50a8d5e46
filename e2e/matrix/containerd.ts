import { afterAll, expect } from '@jest/globals'
import { type Containerd, containerdMissing, startContainerd } from '../clients/containerd.ts'
import { type Scene, testWith } from './scene.ts'

export function describeContainerd({ served, host, url, password }: Scene): void {
  let containerd: Containerd | undefined
  const start = async () => {
    containerd ??= await startContainerd()
    return containerd
  }
  afterAll(async () => {
    await containerd?.stop()
  }, 30_000)
  const withHosts = ({ hostsFolder }: Containerd) => ['--hosts-dir', hostsFolder, '--user', `admin:${password()}`]

  testWith(
    [],
    'containerd pulls by tag and by digest through its hosts folder, and pushes',
    async () => {
      const client = await start()
      client.setHost(host(), url())
      const { digest } = await served('clients/app', 'layered')
      const reference = `${host()}/clients/app:layered`
      await client.ctr(['images', 'pull', ...withHosts(client), '--snapshotter', 'native', reference])
      await client.ctr([
        'images',
        'pull',
        ...withHosts(client),
        '--snapshotter',
        'native',
        `${host()}/clients/app@${digest}`,
      ])
      const listed = await client.ctr(['images', 'ls', `name==${reference}`])
      expect(listed).toContain(digest)
      await client.ctr(['images', 'push', ...withHosts(client), `${host()}/clients/containerd:1`, reference])
      expect((await served('clients/containerd', '1')).digest).toBe(digest)
      // All platforms, and a list.
      const list = `${host()}/clients/app:multi`
      await client.ctr(['images', 'pull', ...withHosts(client), '--all-platforms', '--snapshotter', 'native', list])
      await client.ctr(['images', 'push', ...withHosts(client), `${host()}/clients/containerd:multi`, list])
      expect((await served('clients/containerd', 'multi')).digest).toBe((await served('clients/app', 'multi')).digest)
    },
    containerdMissing(),
  )

  testWith(
    [],
    'containerd takes Berth for the mirror of another registry, which it names by ?ns=',
    async () => {
      const client = await start()
      client.setHost('registry.example', url())
      const reference = 'registry.example/clients/app:small'
      await client.ctr(['images', 'pull', ...withHosts(client), '--snapshotter', 'native', reference])
      expect(await client.ctr(['images', 'ls', `name==${reference}`])).toContain(
        (await served('clients/app', 'small')).digest,
      )
    },
    containerdMissing(),
  )
}
