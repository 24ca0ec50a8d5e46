import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export type Login = { user: string; password: string }

/** A container tool with an image store of its own in a temporary folder. */
export type Client = {
  name: 'podman' | 'docker' | 'skopeo'
  /** Logs in to a registry, or out of it when no login is given. */
  login(host: string, login?: Login): Promise<void>
  /** Pulls an image and answers its image id: the digest of its configuration. */
  pull(reference: string): Promise<string>
  /** Pushes what was pulled as `source` under another name. */
  push(source: string, destination: string): Promise<void>
  stop(): Promise<void>
}

export type Run = (args: string[], options?: { input?: string }) => Promise<string>

/** Runs a program to its end and answers what it wrote; throws with its standard error. */
export function runner(program: string, before: string[], env: NodeJS.ProcessEnv = {}): Run {
  return async (args, { input } = {}) => {
    const running = execute(program, [...before, ...args], { env: { ...process.env, ...env }, maxBuffer: 64 << 20 })
    running.catch(() => 'told below')
    if (input === undefined) running.child.stdin?.destroy()
    else running.child.stdin?.end(input)
    return (await running).stdout.trim()
  }
}
