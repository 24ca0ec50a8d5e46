import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { environmentFor, root } from './environment.mjs'
import { say } from './say.mjs'

const checks = [
  { label: 'format and import order', program: 'biome', args: ['check', '.'] },
  { label: 'lint', program: 'oxlint', args: ['--type-aware', '.'] },
  { label: 'promises have holders', program: 'node', args: ['deploy/bootstrap/check-promises.mjs'] },
  { label: 'stops are not missed', program: 'node', args: ['deploy/bootstrap/check-stops.mjs'] },
  { label: 'SQL can be read', program: 'node', args: ['deploy/bootstrap/check-sql.mjs'] },
  { label: 'types', program: 'tsc', args: ['-p', '.'] },
  { label: 'imports only point down', program: 'depcruise', args: ['libs', 'services', 'deploy/standalone', 'e2e'] },
  { label: 'nothing is unused', program: 'knip', args: ['--no-progress', '--no-config-hints'] },
  {
    label: 'folders only point down',
    program: 'depcruise',
    args: ['--config', '.dependency-cruiser-folders.mjs', 'libs', 'services', 'deploy/standalone'],
  },
]

/** Runs every check, also after one has failed; answers 1 when any failed. */
export async function runChecks(node) {
  const failed = []
  for (const check of checks) {
    say(`check: ${check.label}`)
    if ((await runCheck(node, check)) !== 0) failed.push(check.label)
  }
  say(failed.length === 0 ? 'all checks passed' : `checks that failed: ${failed.join(', ')}`)
  return failed.length === 0 ? 0 : 1
}

/** Puts everything into the house format. */
export function runFormat(node) {
  return runCheck(node, { program: 'biome', args: ['check', '--write', '.'] })
}

function runCheck(node, { program, args }) {
  const file = program === 'node' ? node : path.join(root, 'node_modules', '.bin', program)
  const present = args.filter((arg) => !arg.includes('/') || existsSync(path.join(root, arg)))
  return new Promise((resolve, reject) => {
    const child = spawn(file, present, {
      cwd: root,
      env: environmentFor(node),
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    child.on('error', reject)
    child.on('exit', (code) => resolve(code ?? 1))
  })
}
