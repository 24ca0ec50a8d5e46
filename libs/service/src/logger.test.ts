import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { readConfig, text, url } from './config.ts'
import { createLogger, redact } from './logger.ts'
import { createSealer } from './seal.ts'
import { until } from './testing/until.ts'

const planted = 'pl4nted-s3cret'

/** What the logger writes to its file for some lines of level info. */
async function written(write: (log: ReturnType<typeof createLogger>) => void): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-log-'))
  try {
    const file = join(folder, 'log')
    const log = createLogger({ service: 'test', file })
    write(log)
    log.info('last line')
    const read = () => readFile(file, 'utf8').catch(() => '')
    await until(async () => (await read()).includes('last line'))
    return await read()
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('one JSON line an entry: a fixed phrase, and the values as fields', async () => {
  const text = await written((log) => log.with({ requestId: 'r1' }).info('manifest served', { repo: 'a/b', bytes: 5n }))
  expect(JSON.parse(text.split('\n')[0] ?? '')).toMatchObject({
    level: 'info',
    message: 'manifest served',
    service: 'test',
    requestId: 'r1',
    repo: 'a/b',
    bytes: '5',
  })
})

test('a secret is in no line, wherever it was put', async () => {
  const url = `https://user:${planted}@registry.example.com/v2/?token=${planted}&x=1`
  const text = await written((log) => {
    for (const key of ['authorization', 'Cookie', 'password', 'adminPassword', 'token', 'refresh_token', 'secret'])
      log.info('field', { [key]: planted, deep: { list: [{ [key]: planted }] } })
    for (const key of [
      'servicePrivateKey',
      'secretsKey',
      'BERTH_SERVICE_PRIVATE_KEY',
      'natsSeed',
      'BERTH_NATS_SEED',
      'client-key',
      'proxy-authorization',
    ])
      log.info('field', { [key]: planted })
    log.info(`in a message: ${url}`, { url, parsed: new URL(url), nats: `nats://${planted}@127.0.0.1:4222` })
    log.info('in headers', { raw: `Authorization: Bearer ${planted}`, more: [`basic ${btoa(planted)}`] })
    log.info('in bytes', { body: Buffer.from(planted) })
    const cause = new Error(`cannot reach ${url}`, { cause: { password: planted, url } })
    log.info('in an error', { error: new Error(`GET ${url} failed`, { cause }) })
    log.with({ password: planted }).info('in a bound field')
  })
  expect(text).toContain('registry.example.com')
  expect(text).not.toContain(planted)
  expect(text).not.toContain(btoa(planted))
  expect(text).not.toContain(Buffer.from(planted).toString('hex'))
})

test('what was said last is in the file of a process that ends at once, in its order', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-log-'))
  const file = join(folder, 'log')
  const program = `
    import { createLogger } from ${JSON.stringify(new URL('logger.ts', import.meta.url).href)}
    const log = createLogger({ service: 'test', file: ${JSON.stringify(file)} })
    for (let n = 0; n < 100; n++) log.info('line', { n })
    setTimeout(() => {
      log.info('said last')
      process.exit(0)
    }, 200)`
  const { status } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' })
  expect(status).toBe(0)
  const lines = (await readFile(file, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(lines.map(({ n, message }) => n ?? message)).toEqual([
    ...Array.from({ length: 100 }, (_, n) => n),
    'said last',
  ])
  await rm(folder, { recursive: true })
})

test('an error that causes itself ends', () => {
  const error = new Error('outer')
  error.cause = { error }
  expect(JSON.stringify(redact({ error }))).toContain('outer')
})

test('a hostile text is redacted at once', () => {
  const before = process.cpuUsage()
  redact('a.'.repeat(100_000))
  redact('a://'.repeat(50_000))
  redact(`a://${'b'.repeat(200_000)}`)
  redact('eyJ'.repeat(70_000))
  redact(`${'eyJ'.repeat(30_000)}.${'eyJ'.repeat(30_000)} `)
  redact('eyJ.'.repeat(50_000))
  redact('-----BEGIN PRIVATE KEY-----'.repeat(10_000))
  expect(process.cpuUsage(before).user / 1000).toBeLessThan(400)
})

test('tokens are told by their form wherever they stand, and what only begins like one stays', () => {
  const token = `eyJ${'a'.repeat(20)}.${'b'.repeat(9_000)}.${'c'.repeat(86)}`
  expect(redact(`x=${token}, /v2/${token}/tags (https://a/b?t=${token}) ..eyJ.${token}.x_${token}`)).toBe(
    'x=[redacted], /v2/[redacted]/tags (https://a/b?[redacted]) ..eyJ.[redacted].x_[redacted]',
  )
  expect(redact(`https://a/?t=${token}&key=${planted}`)).toBe('https://a/?[redacted]')
  expect(redact('eyJhbGciOiJFUzI1.short.x eyJ.b.c eyJhbGciOiJFUzI1.abcdefgh')).toBe(
    'eyJhbGciOiJFUzI1.short.x eyJ.b.c eyJhbGciOiJFUzI1.abcdefgh',
  )
})

test('a log is closed to other users, one of an earlier release too', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-log-'))
  try {
    await writeFile(join(folder, 'old'), 'a line\n', { mode: 0o644 })
    for (const name of ['old', 'new']) {
      const file = join(folder, name)
      createLogger({ service: 'test', file }).info('a line')
      await until(async () => (await readFile(file, 'utf8').catch(() => '')).includes('"a line"'))
      expect((await stat(file)).mode & 0o777).toBe(0o600)
    }
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a secret that is known is in no line, whatever it is part of and by whatever name it is called', async () => {
  readConfig(
    {
      key: text('BERTH_TEST_KEY', { secret: true }),
      database: url('BERTH_TEST_DATABASE', ['postgresql']),
      open: url('BERTH_TEST_ORIGIN', ['https']),
    },
    {
      BERTH_TEST_KEY: 'known-by-its-value',
      BERTH_TEST_DATABASE: 'postgresql://berth:p%40ssword+of+mine@127.0.0.1/berth',
      BERTH_TEST_ORIGIN: 'https://registry.example.com',
    },
  )
  const sealer = createSealer(Buffer.alloc(32, 7).toString('base64'))
  const opened = sealer.open(sealer.seal('sealed-then-opened', 'x'), 'x')
  const robot = `brb_${'a1-_'.repeat(11)}`
  const signed = `eyJ${'hbGci'.repeat(4)}.${'eyJzdWIi'.repeat(4)}.${'c2ln'.repeat(8)}`
  const pem = '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----'
  const secrets = ['known-by-its-value', 'p@ssword+of+mine', 'p%40ssword+of+mine', opened, robot, signed]
  const lines = await written((log) => {
    for (const secret of secrets) log.info(`upstream said (${secret})`, { note: [`x${secret}y`, new Error(secret)] })
    log.info(`key ${pem}`, { origin: 'https://registry.example.com/v2' })
  })
  for (const secret of [...secrets, 'MIGHAgEAMBMGByqGSM49']) expect(lines).not.toContain(secret)
  expect(lines).toContain('https://registry.example.com/v2')
})
