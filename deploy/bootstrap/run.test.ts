import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

const bootstrap = fileURLToPath(new URL('./', import.meta.url))

let folder: string
let running: ChildProcess | undefined

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), `berth-test-${process.pid}-bootstrap-`))
})

afterEach(() => {
  running?.kill('SIGKILL')
  running = undefined
  rmSync(folder, { recursive: true })
})

/** Runs lines of a module that may import the bootstrap's files, with an empty cache. */
function evaluate(code: string, env: NodeJS.ProcessEnv = {}) {
  const args = ['--input-type=module', '-e', code]
  const given = { PATH: process.env.PATH, HOME: folder, BERTH_CACHE: path.join(folder, 'cache'), ...env }
  return spawnSync(process.execPath, args, { cwd: bootstrap, env: given, encoding: 'utf8' })
}

function moduleUrl(file: string): string {
  return JSON.stringify(new URL(file, import.meta.url).href)
}

test('an unknown verb is answered with the usage, without a stack trace', () => {
  const { status, stderr } = spawnSync(process.execPath, [path.join(bootstrap, 'run.mjs'), 'sing'], {
    encoding: 'utf8',
  })
  expect(status).toBe(1)
  expect(stderr).toBe(
    'berth: usage: node deploy/bootstrap/run.mjs start|test|check|format|bench|soak|backup|e2e:compose|e2e:kubernetes|env [arguments]\n',
  )
})

test('without npm the message says what to install', () => {
  symlinkSync('/bin/sh', path.join(folder, 'sh'))
  const { stdout } = evaluate(
    `import { getPnpm } from ${moduleUrl('./node-and-pnpm.mjs')}
     await getPnpm().catch((error) => console.log(error.name, error.message))`,
    { PATH: folder },
  )
  expect(stdout).toContain('CannotGoOn npm is not on PATH: install npm')
})

test('a cache folder that cannot be made is named with the remedy', () => {
  writeFileSync(path.join(folder, 'file'), '')
  const { stdout } = evaluate(
    `import { cacheFolder } from ${moduleUrl('./cache.mjs')}
     try { cacheFolder() } catch (error) { console.log(error.message) }`,
    { BERTH_CACHE: path.join(folder, 'file', 'cache') },
  )
  expect(stdout).toContain('set BERTH_CACHE to a folder you may write to')
})

test('what a killed download leaves is not taken for whole', () => {
  const { stdout } = evaluate(`
    import { placeOnce } from ${moduleUrl('./cache.mjs')}
    import { readdirSync, writeFileSync } from 'node:fs'
    const fill = (folder) => writeFileSync(folder + '/program', 'whole')
    await placeOnce('tool-1', (folder) => { fill(folder); throw new Error('cut') }).catch((error) => console.log(error.message))
    const place = await placeOnce('tool-1', fill)
    await placeOnce('tool-1', () => console.log('made again'))
    console.log(readdirSync(place).join(), readdirSync(process.env.BERTH_CACHE).join())`)
  expect(stdout).toBe('cut\nprogram tool-1\n')
})

test('of two that install at once, the second waits for the first', () => {
  const { stdout } = evaluate(`
    import { withLock } from ${moduleUrl('./lock.mjs')}
    const lock = ${JSON.stringify(path.join(folder, 'lock'))}
    const first = withLock(lock, () => {}, async () => { console.log('a in'); await new Promise((r) => setTimeout(r, 300)); console.log('a out') })
    await withLock(lock, () => console.log('waits'), async () => console.log('b in'))
    await first`)
  expect(stdout).toBe('a in\nwaits\na out\nb in\n')
})

test('with no nats-server to be had, all remedies are listed in one message', () => {
  const { stdout } = evaluate(
    `globalThis.fetch = async () => { throw new Error('closed network') }
     const { natsEnvironment } = await import(${moduleUrl('./nats-server.mjs')})
     await natsEnvironment().catch((error) => console.log(error.name, error.message))`,
    { PATH: folder },
  )
  for (const remedy of ['BERTH_NATS_SERVER', 'BERTH_NATS_URL', 'python3 with pip, or Go', 'release archive']) {
    expect(stdout).toContain(remedy)
  }
})

function runInForeground(program: string): ChildProcess {
  const file = path.join(folder, 'program.mjs')
  writeFileSync(file, program)
  const code = `import { runInForeground } from ${moduleUrl('./foreground.mjs')}
    process.exitCode = await runInForeground(process.execPath, [${JSON.stringify(file)}], { env: process.env, ownGroup: true })`
  running = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  return running
}

const waiting = `process.on('SIGTERM', () => process.exit(7)); process.on('SIGINT', () => process.exit(8))
  console.log(process.pid); setInterval(() => {}, 1e6)`

test.each([
  ['SIGTERM', 7],
  ['SIGINT', 8],
] as const)('%s reaches the program, and its exit code comes back', async (signal, code) => {
  const outer = runInForeground(waiting)
  await once(outer.stdout as NodeJS.ReadableStream, 'data')
  outer.kill(signal)
  expect(await once(outer, 'exit')).toEqual([code, null])
})

test('the exit code of a program that ends by itself comes back', async () => {
  expect(await once(runInForeground('process.exit(3)'), 'exit')).toEqual([3, null])
})

test('when the bootstrap is killed outright the program ends too', async () => {
  const outer = runInForeground(waiting)
  const [line] = (await once(outer.stdout as NodeJS.ReadableStream, 'data')) as [Buffer]
  const pid = Number(line.toString())
  outer.kill('SIGKILL')
  await once(outer, 'exit')
  for (const end = Date.now() + 10_000; Date.now() < end && lives(pid); ) await pause(20)
  expect(lives(pid)).toBe(false)
})

function keepUp(program: string): ChildProcess {
  const file = path.join(folder, 'program.mjs')
  writeFileSync(file, program)
  const code = `import { keepUp } from ${moduleUrl('./keep-up.mjs')}
    process.exitCode = await keepUp(process.execPath, [${JSON.stringify(file)}], { env: process.env })`
  running = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'pipe'] })
  return running
}

/** Resolves with what was printed as soon as it matches. */
async function printed(stream: NodeJS.ReadableStream, pattern: RegExp): Promise<string> {
  let text = ''
  for await (const chunk of stream) {
    text += String(chunk)
    if (pattern.test(text)) return text
  }
  throw new Error(`it ended without ${pattern}: ${text}`)
}

const getsReady = `import { writeSync } from 'node:fs'; writeSync(3, 'ready'); console.log('run', process.pid)`

test('a Berth that was ready and dies is started again, which is said, until it is asked to stop', async () => {
  const outer = keepUp(`process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1e6); ${getsReady}`)
  const second = printed(outer.stdout as NodeJS.ReadableStream, /run \d+\n.*run \d+\n.*run \d+\n/s)
  outer.stdout?.once('data', (line: Buffer) => {
    const pid = Number(line.toString().split(' ')[1])
    process.kill(pid, 'SIGKILL')
    outer.stdout?.once('data', (next: Buffer) =>
      process.kill(Number(/run (\d+)/.exec(next.toString())?.[1]), 'SIGKILL'),
    )
  })
  const said = printed(outer.stderr as NodeJS.ReadableStream, /0\.2 s/)
  await second
  expect(await said).toMatch(/ended unexpectedly \(SIGKILL\); it is started again in 0.1 s.*\(SIGKILL\).*0.2 s/s)
  outer.kill('SIGTERM')
  expect(await once(outer, 'exit')).toEqual([0, null])
})

test('a first start that fails is not repeated', async () => {
  const outer = keepUp(`console.log('tried'); process.exit(1)`)
  let tried = ''
  outer.stdout?.on('data', (text: Buffer) => {
    tried += text.toString()
  })
  expect(await once(outer, 'close')).toEqual([1, null])
  expect(tried).toBe('tried\n')
})

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    // ESRCH: gone.
    return false
  }
}
