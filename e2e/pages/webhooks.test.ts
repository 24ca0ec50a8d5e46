import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { pushRandomImage } from '../berth/push.ts'
import { basic, make } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { findProgram } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const page = readFileSync(new URL('../../docs/how-to/webhooks.md', import.meta.url), 'utf8')
const stack = withBerth()
const running: ChildProcess[] = []
let folder: string
beforeAll(() => {
  folder = makeTemporaryFolder('receivers')
})
afterAll(async () => {
  for (const child of running) {
    if (child.exitCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  removeFolder(folder)
})

/** Writes a program of the page into a file. */
function programOf(language: string, file: string): string {
  const [, text = ''] = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 's').exec(page) ?? []
  expect(text.length).toBeGreaterThan(500)
  const at = path.join(folder, file)
  writeFileSync(at, text)
  return at
}

const go = findProgram('go')
const python = findProgram('python3')
const receivers: [string, string | undefined, () => string[]][] = [
  ['Python', python, () => [python ?? '', programOf('python', 'receiver.py')]],
  [
    'Go',
    go,
    () => {
      const binary = path.join(folder, 'receiver')
      const built = spawnSync(go ?? '', ['build', '-o', binary, programOf('go', 'main.go')], { encoding: 'utf8' })
      expect(built.stderr).toBe('')
      return [binary]
    },
  ],
  ['JavaScript', process.execPath, () => [process.execPath, programOf('js', 'receiver.mjs')]],
]

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

for (const [language, program, start] of receivers) {
  const proves = program ? test : test.skip
  proves(
    `the receiver in ${language} that the page shows believes what Berth has signed, and nothing else`,
    async () => {
      const [command = '', ...args] = start()
      const port = await freePort()
      const url = `http://127.0.0.1:${port}/`
      const name = `receivers/${language.toLowerCase()}`
      const { secret } = await make(stack, '/webhooks', {
        name,
        url,
        allowPrivateAddresses: true,
        events: ['catalog.tag.moved'],
      })
      const child = spawn(command, args, { env: { ...process.env, SECRET: secret, PORT: String(port) } })
      running.push(child)
      let said = ''
      child.stdout.on('data', (chunk) => {
        said += chunk
      })
      child.stderr.on('data', (chunk) => {
        said += chunk
      })
      const forged = {
        'webhook-id': '1',
        'webhook-timestamp': String(Math.floor(Date.now() / 1000)),
        'webhook-signature': 'v1,AAAA',
      }
      const refused = await until('the receiver listens', async () =>
        fetch(url, { method: 'POST', headers: forged, body: '{"type":"forged","data":{}}' }).catch(() => undefined),
      )
      expect(refused.status).toBe(401)
      await pushRandomImage({ url: stack.url, authorization: basic(stack) }, `${name}-image`, '1')
      const line = `dev.berth.catalog.tag.moved.v1 ${stack.host}/${name}-image:1`
      await until('it is told', async () => said.includes(line))
      expect(said).not.toContain('forged')
    },
    60_000,
  )
}
