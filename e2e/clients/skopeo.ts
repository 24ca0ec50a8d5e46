import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { type Client, type Login, runner } from './client.ts'

export type Skopeo = Client & {
  /** Pulls what a list has for an architecture, and answers its image id. */
  pullFor(architecture: string, reference: string): Promise<string>
  /** The bytes of the manifest that a registry gives. */
  raw(reference: string): Promise<string>
}

/** skopeo, which keeps what it pulls as a folder for each reference. */
export function startSkopeo(): Skopeo {
  const folder = makeTemporaryFolder('skopeo')
  const skopeo = runner('skopeo', ['--insecure-policy'], { TMPDIR: folder })
  const places = new Map<string, string>()
  let authorization: string[] = []
  let pulls = 0
  const authFile = path.join(folder, 'auth.json')

  const pull = async (reference: string, flags: string[]) => {
    const place = path.join(folder, `image-${pulls++}`)
    const from = ['--src-tls-verify=false', ...authorization]
    await skopeo([...flags, 'copy', '--quiet', ...from, `docker://${reference}`, `dir:${place}`])
    places.set(reference, place)
    const manifest = JSON.parse(readFileSync(path.join(place, 'manifest.json'), 'utf8')) as {
      config: { digest: string }
    }
    return manifest.config.digest
  }
  return {
    name: 'skopeo',
    login: async (host: string, login?: Login) => {
      authorization = login ? ['--authfile', authFile] : []
      if (!login) {
        if (existsSync(authFile)) await skopeo(['logout', '--authfile', authFile, '--all'])
        return
      }
      const flags = ['--tls-verify=false', '--authfile', authFile, '--username', login.user, '--password-stdin']
      await skopeo(['login', ...flags, host], { input: login.password })
    },
    pull: (reference) => pull(reference, []),
    pullFor: (architecture, reference) => pull(reference, ['--override-arch', architecture]),
    push: async (source, destination) => {
      const place = places.get(source)
      if (!place) throw new Error(`${source} was not pulled`)
      const to = ['--dest-tls-verify=false', ...authorization]
      await skopeo(['copy', '--quiet', ...to, `dir:${place}`, `docker://${destination}`])
    },
    raw: (reference) => skopeo(['inspect', '--raw', '--tls-verify=false', ...authorization, `docker://${reference}`]),
    stop: async () => removeFolder(folder),
  }
}
