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
export async function runInForeground(node, args, { env, ownGroup = false }) {
  const child = startChild(node, args, { env, ownGroup })
  passSignals((signal) => child.kill(signal), ownGroup)
  return exitCodeOf(child)
}

/** Starts a Node program that ends when this process is gone. Descriptor 3 leads from it to us. */
export function startChild(node, args, { env, ownGroup }) {
  return spawn(node, ['--import', watcher, ...args], {
    cwd: root,
    env: { ...env, BERTH_BOOTSTRAP_PID: String(process.pid) },
    detached: ownGroup,
    stdio: [ownGroup ? 'ignore' : 'inherit', 'inherit', 'inherit', 'pipe'],
  })
}

/** Waits for the end of a program; one that a signal ended has the code that a shell gives for it. */
export function exitCodeOf(child) {
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)))
  })
}

/** Calls `pass` with what a person, a terminal or a supervisor asks of this process. */
export function passSignals(pass, ownGroup) {
  let last = 0
  const passOnce = (signal) => {
    // npm and the terminal both send the Ctrl-C of one key press; a second one would mean "at once".
    if (Date.now() - last < 500) return
    last = Date.now()
    pass(signal)
  }
  process.on('SIGTERM', () => passOnce('SIGTERM'))
  process.on('SIGHUP', () => passOnce('SIGTERM'))
  process.on('SIGINT', () => {
    if (ownGroup || !process.stdin.isTTY) passOnce('SIGINT')
  })
}
