import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { sha256 } from '../berth/requests.ts'
import { describe } from '../conformance/wire.ts'

/** Writes a Docker image of one layer and one line of history that changed no file, for clients to read as `dir:`. */
export function writeDockerImage(folder: string): void {
  const layer = Buffer.alloc(1024, 0)
  const write = (bytes: Buffer, mediaType: string) => {
    writeFileSync(path.join(folder, sha256(bytes).slice('sha256:'.length)), bytes)
    return describe(bytes, mediaType)
  }
  mkdirSync(folder)
  writeFileSync(path.join(folder, 'version'), 'Directory Transport Version: 1.1\n')
  const created = '2020-01-01T00:00:00Z'
  const config = {
    architecture: 'amd64',
    os: 'linux',
    config: { Cmd: ['/x'] },
    created,
    rootfs: { type: 'layers', diff_ids: [sha256(layer)] },
    history: [
      { created, created_by: 'files' },
      { created, created_by: 'ENV a=b', empty_layer: true },
    ],
  }
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    config: write(Buffer.from(JSON.stringify(config)), 'application/vnd.docker.container.image.v1+json'),
    layers: [write(layer, 'application/vnd.docker.image.rootfs.diff.tar')],
  }
  writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify(manifest))
}
