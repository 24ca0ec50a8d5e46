import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { dyingWithUs, hasEnded } from '@berth/standalone/children'
import { expect, test } from '@jest/globals'
import { processesOn } from '../berth/processes.ts'
import { pushRandomImage } from '../berth/push.ts'
import { basic, localRemote, make, startSync } from '../berth/requests.ts'
import { environmentOf, startTestStack } from '../berth/stack.ts'
import { missingPrograms } from '../servers/programs.ts'
import { startSlowProxy } from '../servers/slow-proxy.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { startDockerRegistry } from '../servers/upstream.ts'

const bootstrap = fileURLToPath(new URL('../../deploy/bootstrap/run.mjs', import.meta.url))
const stoppedWithinMs = 10_000
const secondStartMs = 5_000

const missing = missingPrograms('docker-registry')
const withUpstream = missing.length > 0 ? test.skip : test
withUpstream(
  `SIGTERM in the middle of a sync ends it within 10 s with 0 and leaves no process${missing.length > 0 ? ` (not installed: ${missing.join(', ')})` : ''}`,
  async () => {
    const upstream = await startDockerRegistry()
    const proxy = await startSlowProxy({ host: upstream.host, bytesPerSecond: 64 << 10 })
    await pushRandomImage({ url: upstream.url }, 'app', 'one', [1 << 20])
    const stack = await startTestStack({ embeddedDatabase: true })
    try {
      await make(stack, '/remotes', localRemote('slow', proxy.url, 'app'))
      await make(stack, '/repositories', { name: 'app' })
      await startSync(stack, 'app', 'slow')
      await pushRandomImage({ url: stack.url, authorization: basic(stack) }, 'pushed', 'one')
      expect(processesOn(stack.home).length).toBeGreaterThan(1)
      const { code, durationMs } = await stack.kill('SIGTERM')
      expect(code).toBe(0)
      expect(durationMs).toBeLessThan(stoppedWithinMs)
      expect(processesOn(stack.home)).toEqual([])
    } finally {
      await stack.stop()
      await proxy.stop()
      await upstream.stop()
    }
  },
  90_000,
)

test('with each service as a process of its own SIGTERM ends all of them too', async () => {
  const stack = await startTestStack({ env: { BERTH_PROCESSES: 'true' }, embeddedDatabase: true })
  try {
    const { code, durationMs } = await stack.kill('SIGTERM')
    expect(code).toBe(0)
    expect(durationMs).toBeLessThan(stoppedWithinMs)
    expect(processesOn(stack.home)).toEqual([])
  } finally {
    await stack.stop()
  }
}, 60_000)

test('npm start: the first start makes a password and shows it once, a second takes at most 5 s, SIGTERM ends both cleanly', async () => {
  const folder = makeTemporaryFolder('npm-start')
  try {
    const home = path.join(folder, 'home')
    const first = await startAndStop(home)
    expect(first.output).toMatch(/admin user: +admin\n +password: +\S{12,}/)
    const second = await startAndStop(home)
    expect(second.output).not.toContain('password:')
    expect(second.startMs).toBeLessThan(secondStartMs)
    for (const { code, stopMs, left } of [first, second]) {
      expect({ code, left }).toEqual({ code: 0, left: [] })
      expect(stopMs).toBeLessThan(stoppedWithinMs)
    }
  } finally {
    removeFolder(folder)
  }
}, 120_000)

type Turn = { output: string; startMs: number; stopMs: number; code: number | null; left: unknown[] }

/** What `npm start` runs, until it is ready, and then SIGTERM. */
async function startAndStop(home: string): Promise<Turn> {
  const env = {
    ...environmentOf({ home, password: '', options: {} }),
    BERTH_ADMIN_PASSWORD: undefined,
    BERTH_PORT: '0',
  }
  const [command, args] = dyingWithUs('KILL', process.execPath, [bootstrap, 'start'])
  const startedAt = Date.now()
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  await new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.includes('berth is ready: http://localhost:')) resolve()
    })
    child.on('exit', (code) => reject(new Error(`npm start ended with ${code}:\n${output}`)))
  })
  const readyAt = Date.now()
  child.kill('SIGTERM')
  if (!hasEnded(child)) await once(child, 'exit')
  const [startMs, stopMs] = [readyAt - startedAt, Date.now() - readyAt]
  return { output, startMs, stopMs, code: child.exitCode, left: processesOn(home) }
}
