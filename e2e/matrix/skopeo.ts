import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from '@jest/globals'
import { sha256 } from '../berth/requests.ts'
import { type Run, runner } from '../clients/client.ts'
import { type Scene, testWith } from './scene.ts'

export function describeSkopeo({ at, images, served, host }: Scene): void {
  const image = (tag: string) => `oci:${images().layout}:${tag}`
  const docker = (name: string) => `docker://${host()}/${name}`
  const skopeo: Run = (args) =>
    runner('skopeo', ['--insecure-policy'], { TMPDIR: at(), REGISTRY_AUTH_FILE: at('auth.json') })(args)
  const copy = (from: string, to: string, ...flags: string[]) =>
    skopeo(['copy', '--quiet', '--src-tls-verify=false', '--dest-tls-verify=false', ...flags, from, to])
  const asked = (...args: string[]) => skopeo([...args.slice(0, 1), '--tls-verify=false', ...args.slice(1)])

  testWith([], 'skopeo copy --all: an index and all it names arrive, byte for byte, and come back', async () => {
    const index = await served('clients/app', 'multi')
    expect(index.digest).toBe(sha256(await skopeo(['inspect', '--raw', image('multi')])))
    await copy(docker('clients/app:multi'), `oci:${at('back')}:multi`, '--all')
    expect(await skopeo(['inspect', '--raw', `oci:${at('back')}:multi`])).toBe(
      await skopeo(['inspect', '--raw', image('multi')]),
    )
    await copy(docker('clients/app:multi'), docker('clients/copied:multi'), '--all')
    expect((await served('clients/copied', 'multi')).digest).toBe(index.digest)
  })

  for (const [format, type, config] of [
    ['oci', 'application/vnd.oci.image.manifest.v1+json', 'application/vnd.oci.image.config.v1+json'],
    ['v2s2', 'application/vnd.docker.distribution.manifest.v2+json', 'application/vnd.docker.container.image.v1+json'],
  ] as const) {
    testWith([], `skopeo copy --format ${format}: pushed and pulled as that`, async () => {
      await copy(image('layered'), docker(`clients/${format}:1`), '--format', format)
      const { manifest } = await served(`clients/${format}`, '1')
      expect(manifest).toMatchObject({ mediaType: type, config: { mediaType: config } })
      await copy(docker(`clients/${format}:1`), `dir:${at(format)}`)
      expect(sha256(readFileSync(at(format, 'manifest.json')))).toBe((await served(`clients/${format}`, '1')).digest)
      await copy(docker(`clients/${format}:1`), docker(`clients/${format}:other`), '--format', format)
      expect((await served(`clients/${format}`, 'other')).manifest.layers).toEqual(manifest.layers)
    })
  }

  testWith([], 'skopeo copy --format v2s1: the signed manifest of old arrives, and is pulled as that', async () => {
    await copy(docker('clients/app:layered'), docker('clients/v2s1:1'), '--format', 'v2s1')
    const raw = await asked('inspect', '--raw', docker('clients/v2s1:1'))
    expect(JSON.parse(raw)).toMatchObject({ schemaVersion: 1, signatures: [expect.anything()] })
    const inspected = JSON.parse(await asked('inspect', docker('clients/v2s1:1')))
    expect(inspected.Layers.length).toBeGreaterThan(0)
    // skopeo makes the digest of what is signed itself, without the signatures.
    await copy(docker(`clients/v2s1@${inspected.Digest}`), `dir:${at('v2s1')}`)
    expect(readFileSync(at('v2s1', 'manifest.json'), 'utf8')).toBe(raw)
  })

  testWith(
    [],
    'skopeo copy --dest-compress-format zstd: the layers arrive as zstd and unpack to the same',
    async () => {
      const layer = writePlainImage(at('plain'))
      await copy(`dir:${at('plain')}`, docker('clients/zstd:1'), '--dest-compress-format', 'zstd')
      const { manifest } = await served('clients/zstd', '1')
      expect(manifest.layers.map(({ mediaType }) => mediaType)).toEqual(['application/vnd.oci.image.layer.v1.tar+zstd'])
      await copy(docker('clients/zstd:1'), `dir:${at('unpacked')}`, '--dest-decompress')
      expect(sha256(readFileSync(at('unpacked', layer.slice('sha256:'.length))))).toBe(layer)
    },
  )

  testWith([], 'skopeo inspect, raw and with the configuration, and list-tags', async () => {
    const inspected = JSON.parse(await asked('inspect', docker('clients/app:layered')))
    const { digest, manifest } = await served('clients/app', 'layered')
    expect(inspected).toMatchObject({
      Name: `${host()}/clients/app`,
      Digest: digest,
      RepoTags: ['layered', 'multi', 'small'],
      Layers: manifest.layers.map((layer) => layer.digest),
    })
    expect(sha256(await asked('inspect', '--raw', docker('clients/app:layered')))).toBe(digest)
    const config = JSON.parse(await asked('inspect', '--config', docker('clients/app:layered')))
    expect(config.config.Cmd).toEqual(['/bin/busybox', 'cat', '/content'])
    expect(JSON.parse(await asked('list-tags', docker('clients/app')))).toEqual({
      Repository: `${host()}/clients/app`,
      Tags: ['layered', 'multi', 'small'],
    })
    expect(await asked('inspect', '--format', '{{.Digest}}', docker(`clients/app@${digest}`))).toBe(digest)
  })

  testWith([], 'skopeo delete: the manifest and its tags are gone', async () => {
    await copy(docker('clients/app:small'), docker('clients/deleted:a'))
    await copy(docker('clients/app:small'), docker('clients/deleted:b'))
    await copy(docker('clients/app:layered'), docker('clients/deleted:c'))
    await asked('delete', docker('clients/deleted:a'))
    expect(JSON.parse(await asked('list-tags', docker('clients/deleted'))).Tags).toEqual(['c'])
    await expect(asked('inspect', docker('clients/deleted:b'))).rejects.toThrow(/manifest unknown/i)
    await expect(asked('delete', docker('clients/deleted:a'))).rejects.toThrow(/may not exist/)
  })

  testWith([], 'skopeo sync: from Berth to a folder, from the folder to Berth, from Berth to Berth', async () => {
    const sync = (...args: string[]) =>
      skopeo(['sync', '--all', '--src-tls-verify=false', '--dest-tls-verify=false', ...args])
    mkdirSync(at('synced'))
    await sync('--src', 'docker', '--dest', 'dir', `${host()}/clients/app`, at('synced'))
    expect(readdirSync(at('synced')).sort()).toEqual(['app:layered', 'app:multi', 'app:small'])
    await sync('--src', 'dir', '--dest', 'docker', at('synced'), `${host()}/clients/from-folder`)
    await sync('--src', 'docker', '--dest', 'docker', `${host()}/clients/app`, `${host()}/clients/from-berth`)
    for (const tag of ['layered', 'multi', 'small'])
      for (const place of ['from-folder', 'from-berth'])
        expect((await served(`clients/${place}/app`, tag)).digest).toBe((await served('clients/app', tag)).digest)
  })

  testWith(['umoci'], 'umoci unpacks what skopeo fetched', async () => {
    await copy(docker('clients/app:layered'), `oci:${at('layout')}:app`)
    const flags = process.geteuid?.() === 0 ? [] : ['--rootless']
    await runner('umoci', [])(['unpack', ...flags, '--image', `${at('layout')}:app`, at('bundle')])
    expect(readFileSync(at('bundle', 'rootfs', 'content'), 'utf8')).toBe('layered\n')
  })
}

/** Writes an image of one fresh layer that is not compressed, for skopeo to read as `dir:`; answers the layer's digest. */
function writePlainImage(folder: string): string {
  const layer = Buffer.from(randomBytes(40_000).toString('hex'))
  const diffIds = [sha256(layer)]
  const config = JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: diffIds } })
  const described = (bytes: string | Buffer, mediaType: string) => {
    writeFileSync(path.join(folder, sha256(bytes).slice('sha256:'.length)), bytes)
    return { mediaType: `application/vnd.oci.image.${mediaType}`, digest: sha256(bytes), size: bytes.length }
  }
  mkdirSync(folder)
  writeFileSync(path.join(folder, 'version'), 'Directory Transport Version: 1.1\n')
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: described(config, 'config.v1+json'),
    layers: [described(layer, 'layer.v1.tar')],
  }
  writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify(manifest))
  return sha256(layer)
}
