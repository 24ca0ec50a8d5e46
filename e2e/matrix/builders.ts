import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, expect } from '@jest/globals'
import { runner } from '../clients/client.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { type Scene, testWith } from './scene.ts'

export function describePodman({ served, host, password, images }: Scene): void {
  // Of its own: podman takes no path of more than 50 characters.
  let folder = ''
  beforeAll(() => {
    folder = makeTemporaryFolder('pm')
  })
  afterAll(() => removeFolder(folder))

  testWith(['podman'], 'podman logs in, searches, pulls, pushes, and pushes a list that it made', async () => {
    const login = path.join(folder, 'auth.json')
    writeFileSync(login, '{}')
    const flags = [...storageIn(folder), '--tmpdir', path.join(folder, 'tmp'), '--events-backend', 'none']
    const podman = runner('podman', flags, { TMPDIR: folder, REGISTRY_AUTH_FILE: login })
    const credentials = ['--tls-verify=false', '--username', 'admin', '--password-stdin', host()]
    await expect(podman(['login', ...credentials], { input: 'wrong' })).rejects.toThrow(/invalid username/)
    await podman(['login', ...credentials], { input: password() })
    // It asks for its token without a scope, and what is here is private.
    expect(await podman(['search', '--tls-verify=false', `${host()}/clients`])).toContain(`${host()}/clients/app`)
    const source = `${host()}/clients/app:layered`
    await podman(['pull', '--quiet', '--tls-verify=false', source])
    await podman(['push', '--quiet', '--tls-verify=false', source, `${host()}/clients/podman:1`])
    expect((await served('clients/podman', '1')).manifest.config).toEqual(
      (await served('clients/app', 'layered')).manifest.config,
    )
    await podman(['manifest', 'create', 'list'])
    for (const [architecture, tag] of Object.entries({ amd64: 'small', arm64: 'layered' }))
      await podman(['manifest', 'add', '--arch', architecture, 'list', `oci:${images().layout}:${tag}`])
    const destination = `docker://${host()}/clients/podman:list`
    await podman(['manifest', 'push', '--all', '--tls-verify=false', 'list', destination])
    const { manifest } = await served('clients/podman', 'list')
    expect(manifest.manifests.map(({ platform }) => platform.architecture).sort()).toEqual(['amd64', 'arm64'])
    await podman(['rmi', '--all', '--force'])
  })
}

export function describeBuildah({ at, served, host }: Scene): void {
  const environment = () => ({ TMPDIR: at(), REGISTRY_AUTH_FILE: at('auth.json') })

  testWith(
    ['buildah'],
    'buildah builds on an image out of Berth, pushes it, and builds again from the cache',
    async () => {
      const context = at('context')
      mkdirSync(context)
      writeFileSync(path.join(context, 'greeting'), 'hello\n')
      const lines = [`FROM ${host()}/clients/app:layered`, 'COPY greeting /greeting']
      writeFileSync(path.join(context, 'Containerfile'), lines.join('\n'))
      const cache = `${host()}/clients/buildah-cache`
      const build = async (name: string) => {
        const buildah = runner('buildah', storageIn(at(name)), environment())
        const flags = ['--tls-verify=false', '--layers', '--cache-from', cache, '--cache-to', cache, '--timestamp', '0']
        const said = await buildah(['bud', ...flags, '-t', 'built', context])
        await buildah(['push', '--tls-verify=false', 'built', `docker://${host()}/clients/buildah:${name}`])
        await buildah(['rmi', '--all', '--force'])
        return said
      }
      await build('first')
      // With a storage of its own: what it knows it has from the cache in Berth.
      expect(await build('second')).toMatch(/cache/i)
      const { manifest } = await served('clients/buildah', 'first')
      expect(manifest.layers.length).toBe((await served('clients/app', 'layered')).manifest.layers.length + 1)
      expect((await served('clients/buildah', 'second')).manifest.layers).toEqual(manifest.layers)
    },
  )
}

/** Where podman and buildah keep everything; vfs makes no mounts. */
function storageIn(folder: string): string[] {
  const at = (name: string) => path.join(folder, name)
  return ['--root', at('root'), '--runroot', at('run'), '--storage-driver', 'vfs']
}
