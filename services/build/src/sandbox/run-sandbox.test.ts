import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { padding, tarEnd, writeHeader } from '../context/tar-header.ts'
import { findAccount } from './account.ts'
import { takeAllProcesses } from './all-processes.fixture.ts'
import { findCgroupPlaces } from './cgroups.ts'
import { findLack, tryHost } from './check-machine.ts'
import { feed } from './feed.ts'
import { runSandbox } from './run-sandbox.ts'

const user = process.env.BERTH_TEST_BUILD_USER ?? (process.getuid?.() === 0 ? 'berth-build' : undefined)
const found = await findAccount(user)
const places = await findCgroupPlaces()
const place = path.join(tmpdir(), `berth-sandbox-probe-${process.pid}`)
const obstacle = async () =>
  'missing' in found ? found.missing : tryHost({ account: found.account, cgroups: places, folder: place }, 'probe')
const why = (await findLack()) ?? (await obstacle())
await rm(place, { recursive: true, force: true })
const group = why ? describe.skip : describe
const kinds = [['without cgroups', null] as const, ...(places ? [['with cgroups', places] as const] : [])]

group(`a sandbox${why ? ` (skipped: ${why})` : ''}`, () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'berth-sandbox-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  const run = async (script: string, { cgroups = places, seconds = 10, shows = new Map<string, string>() } = {}) => {
    if ('missing' in found) throw new Error(found.missing)
    const text = Buffer.from(script)
    const header = writeHeader({ name: 'run.sh', type: '0', mode: 0o600, size: text.length, mtime: 0, linkName: '' })
    const said = { stdout: '', stderr: '' }
    let result = ''
    const end = await runSandbox(
      { account: found.account, cgroups, folder },
      {
        id: `test-${process.pid}`,
        shows,
        limits: { seconds, memoryBytes: 96 << 20, processes: 60, diskBytes: 64 << 20 },
        feedInputs: (into, ended) => feed([Buffer.concat([header, text, padding(text.length), tarEnd])], into, ended),
        feedContext: (into, ended) => feed(Readable.from([Buffer.alloc(8 << 20, 'a')]), into, ended),
        takeResult: async (from) => {
          result = (await buffer(from)).toString()
        },
        onOutput: (stream, chunk) => {
          said[stream] += chunk.toString()
        },
      },
      new AbortController().signal,
    )
    expect(await readdir(folder)).toEqual([])
    return { ...end, ...said, result }
  }

  test('takes a context and gives a result', async () => {
    expect(await run('wc -c <&5; echo result >&3; echo out; echo err >&2; echo far >&4; exit 3')).toEqual({
      exitCode: 3,
      overrun: null,
      phase: 'far',
      stdout: `${8 << 20}\nout\n`,
      stderr: 'err\n',
      result: 'result\n',
    })
  })

  test('that does not come up ends with the reason, also while it is fed', async () => {
    const end = await run('true', { shows: new Map([['nothing', '/nonexistent']]) })
    expect(end).toMatchObject({ phase: '', stderr: expect.stringContaining('/nonexistent') })
    expect(end.exitCode).not.toBe(0)
  })

  test('shows the programs of the host and what it is given, and none of it can be written', async () => {
    const { stdout } = await run(
      'ls /host /home /root /old /etc; for d in /usr /bin /lib /host/it /host; do : > $d/x && echo "wrote $d"; done 2>/dev/null; ls /proc/1/root/host',
      { shows: new Map([['it', import.meta.dirname]]) },
    )
    expect(stdout).not.toContain('wrote /usr')
    expect(stdout).not.toContain('wrote /host/it')
    expect(stdout).toMatch(/^it$/m)
    expect(stdout).not.toContain('shadow')
  })

  describe.each(kinds)('%s', (_, cgroups) => {
    let giveBack: () => Promise<void>
    beforeAll(async () => {
      giveBack = await takeAllProcesses()
    }, 120_000)
    afterAll(() => giveBack())

    test('bounds time, with all that it started', async () => {
      const script = '(setsid sh -c "while :; do :; done" &); while :; do :; done'
      expect(await run(script, { cgroups, seconds: 1 })).toMatchObject({ overrun: 'time' })
    })

    test('bounds processes', async () => {
      const { overrun, stderr } = await run('for i in $(seq 200); do sleep 60 & done; wait', { cgroups })
      // A shell gives up at once.
      if (overrun === null) expect(stderr).toMatch(/fork/)
      else expect(overrun).toBe('processes')
    })

    test('bounds memory', async () => {
      const script = 'x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done'
      const { overrun, exitCode } = await run(script, { cgroups })
      // Without a cgroup one process may be refused the memory before the look at all of them.
      if (overrun === null) expect(exitCode).not.toBe(0)
      else expect(overrun).toBe('memory')
    })

    test('bounds what is written', async () => {
      const { exitCode, stderr } = await run('cat /dev/zero > /tmp/full', { cgroups })
      expect(exitCode).not.toBe(0)
      expect(stderr).toMatch(/No space left on device/)
    })
  })
})
