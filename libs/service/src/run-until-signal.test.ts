import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from '@jest/globals'

/** A program that runs until it is told to stop, by what `stop` does, and says when it runs. */
function startProgram(stop: string) {
  const code = `
    const { runUntilSignal } = await import(${JSON.stringify(new URL('service.ts', import.meta.url).href)})
    await runUntilSignal(async () => { setTimeout(() => console.log('up')); return ${stop} }, { stopsWithinMs: 200 })
    setInterval(() => {}, 1_000)`
  return spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'pipe'] })
}

test.each([
  ['stops', 'async () => {}', 0, /^$/],
  ['never stops', '() => new Promise(() => {})', 1, /not everything stopped within 0\.2 s/],
])('a program that %s ends when it is told to', async (_title, stop, code, said) => {
  const child = startProgram(stop)
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  await once(child.stdout, 'data')
  child.kill('SIGTERM')
  expect(await once(child, 'close')).toEqual([code, null])
  expect(errors).toMatch(said)
})
