import { spawn } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import path from 'node:path'

const running = new Set()
let watching = false

/** Where a program lies on PATH (and in Debian's places for servers), or undefined. */
export function findOnPath(program) {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  return folders
    .filter((folder) => folder)
    .map((folder) => path.join(folder, program))
    .find(isExecutableFile)
}

function isExecutableFile(file) {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP'].includes(error.code)) return false
    throw error
  }
}

/**
 * Runs a program to its end and answers `{ code, output }` (both its streams). `code` is undefined when it could not be
 * started or took longer than `timeoutMs`. With `show` its output goes to stderr as it comes.
 */
export function run(program, args, { cwd, env, show = false, timeoutMs } = {}) {
  watchSignals()
  return new Promise((resolve) => {
    const stdio = show ? ['ignore', 2, 2] : ['ignore', 'pipe', 'pipe']
    const child = spawn(program, args, { cwd, env: env ?? process.env, stdio })
    running.add(child)
    let output = ''
    const timer = timeoutMs ? setTimeout(() => child.kill('SIGKILL'), timeoutMs) : undefined
    const finish = (code) => {
      clearTimeout(timer)
      running.delete(child)
      resolve({ code, output })
    }
    const keep = (chunk) => {
      output += chunk
    }
    child.stdout?.setEncoding('utf8').on('data', keep)
    child.stderr?.setEncoding('utf8').on('data', keep)
    child.on('error', (error) => {
      output += error.message
      finish(undefined)
    })
    child.on('close', (code) => finish(code ?? undefined))
  })
}

/** The last line of a program's output that says something, to be quoted in a message. */
export function lastLine(output) {
  return (
    output
      .trim()
      .split('\n')
      .findLast((line) => line.trim() && !line.includes('A complete log of this run'))
      ?.trim() ?? ''
  )
}

// A bootstrap that is stopped must not leave a compiler or an installer at work.
function watchSignals() {
  if (watching) return
  watching = true
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ]) {
    process.on(signal, () => {
      if (running.size === 0) return
      for (const child of running) child.kill('SIGTERM')
      process.exit(128 + number)
    })
  }
}
