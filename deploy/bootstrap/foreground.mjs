import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { root } from './environment.mjs'

const watcher = pathToFileURL(fileURLToPath(new URL('./end-with-parent.mjs', import.meta.url))).href

/**
 * Runs a Node program as if in place of this one: same output, signals passed on, and its exit code answered. It also
 * ends when this process is killed outright: it watches a pipe that only we hold open.
 *
 * With `ownGroup` a Ctrl-C of the terminal reaches only us and is passed on once; else the terminal sends it to both.
 */
export function runInForeground(node, args, { env, ownGroup = false }) {
  return new Promise((resolve, reject) => {
    const child = spawn(node, ['--import', watcher, ...args], {
      cwd: root,
      env: { ...env, BERTH_BOOTSTRAP_PID: String(process.pid) },
      detached: ownGroup,
      stdio: [ownGroup ? 'ignore' : 'inherit', 'inherit', 'inherit', 'pipe'],
    })
    passSignals(child, ownGroup)
    child.on('error', reject)
    child.on('exit', (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)))
  })
}

function passSignals(child, ownGroup) {
  let last = 0
  const pass = (signal) => {
    // npm and the terminal both send the Ctrl-C of one key press; a second one would mean "at once".
    if (Date.now() - last < 500) return
    last = Date.now()
    child.kill(signal)
  }
  process.on('SIGTERM', () => pass('SIGTERM'))
  process.on('SIGHUP', () => pass('SIGTERM'))
  process.on('SIGINT', () => {
    if (ownGroup || !process.stdin.isTTY) pass('SIGINT')
  })
}
