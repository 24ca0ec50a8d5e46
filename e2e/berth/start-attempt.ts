import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { programOf } from '@berth/service/testing'
import { dyingWithUs } from '@berth/standalone/children'
import { expect } from '@jest/globals'

export const standaloneMain = programOf('standalone')

const endsWithinMs = 50_000

export type Attempt = { code: number | null; stdout: string; stderr: string }

/** Starts the program where it must not start, and answers how it ended. `before` is a command to run it by. */
export async function attemptStart(env: NodeJS.ProcessEnv, before: string[] = []): Promise<Attempt> {
  const [command, args] = dyingWithUs('KILL', process.execPath, [standaloneMain])
  const [program, ...rest] = [...before, command, ...args] as [string, ...string[]]
  const child = spawn(program, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const attempt = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    attempt.stdout += text
    // It must not: end it, so that the test fails at its expectations and not at its time limit.
    if (text.includes('berth is ready')) child.kill('SIGTERM')
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    attempt.stderr += text
  })
  // One that does not end is shown with what it said, and does not outlive the test.
  const late = setTimeout(() => child.kill('SIGKILL'), endsWithinMs)
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  clearTimeout(late)
  if (signal === 'SIGKILL')
    throw new Error(`the program did not end within ${endsWithinMs / 1_000} s:\n${attempt.stdout}\n${attempt.stderr}`)
  return { code, ...attempt }
}

/** One message that says what and what to do, on standard error, and nothing else of Berth's own inner life. */
export function expectRefusal({ code, stdout, stderr }: Attempt, what: RegExp, remedy: RegExp): void {
  expect(code).toBe(1)
  expect(stdout).not.toContain('berth is ready')
  expect(stderr).not.toMatch(/^\s+at /m)
  const [said = '', todo = ''] = stderr.split('\n  remedy: ')
  expect(said).toMatch(/^berth cannot start: /)
  expect(said).toMatch(what)
  expect(todo).toMatch(remedy)
  expect(stderr.match(/berth cannot start/g)).toHaveLength(1)
}
