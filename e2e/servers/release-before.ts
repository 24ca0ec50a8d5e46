import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Puts some folders of the release before, as its commit has them, below a folder, which is made. */
export function unpackBefore(folder: string, ...places: string[]): void {
  const { commit } = JSON.parse(readFileSync(path.join(root, 'deploy/release.json'), 'utf8')) as { commit: string }
  const archive = path.join(folder, 'release-before.tar')
  mkdirSync(folder, { recursive: true })
  run('git', ['-C', root, 'archive', '--output', archive, commit, ...places])
  run('tar', ['-xf', archive, '-C', folder])
}

function run(program: string, args: string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program}: ${stderr}`)
}
