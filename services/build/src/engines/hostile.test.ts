import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { padding, tarEnd, writeHeader } from '../context/tar-header.ts'
import { takeAllProcesses } from '../sandbox/all-processes.fixture.ts'
import { findCgroupPlaces } from '../sandbox/cgroups.ts'
import { findByCommandLine } from '../sandbox/processes.ts'
import { type Bench, createBench, testSettings, whyNoBuilds, withShell } from './engine.fixture.ts'
import type { Engine } from './engine.ts'
import { findEngines, sweepLeftovers } from './find-engine.ts'

// What Containerfiles and contexts may try. By default the engine that is taken here shows the first two; BERTH_TEST_BUILD=true: all.
const whole = process.env.BERTH_TEST_BUILD === 'true'
const found = await findEngines(testSettings(''))
const why = await whyNoBuilds()
const here = 'engines' in found ? found.engines.map(({ name }) => name) : []
// Where there is none all are skipped, and a table may not be empty.
const tried = here.length === 0 ? ['no engine'] : whole ? here : here.slice(0, 1)
const group = why ? describe.skip : describe
const testWhole = whole ? test : test.skip

group(`hostile builds${why ? ` (skipped: ${why})` : ''}`, () => {
  const secret = randomUUID()
  let bench: Bench
  let outside: string
  let server: Server
  let port: number
  let asked = 0
  let giveBack: () => Promise<void>
  beforeAll(async () => {
    giveBack = await takeAllProcesses()
    bench = await createBench()
    outside = await mkdtemp(path.join(tmpdir(), 'berth-canary-'))
    await writeFile(path.join(outside, 'canary'), secret, { mode: 0o666 })
    process.env.BERTH_TEST_CANARY = secret
    server = createServer((socket) => {
      asked++
      socket.on('error', () => socket.destroy())
      socket.end('HTTP/1.0 200 OK\r\n\r\nfrom outside\n', () => socket.destroySoon())
    })
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
    port = (server.address() as { port: number }).port
  }, 120_000)
  afterAll(async () => {
    delete process.env.BERTH_TEST_CANARY
    await new Promise((resolve) => server.close(resolve))
    await rm(outside, { recursive: true, force: true })
    await bench.close()
    await giveBack()
  })

  /** Nothing of a build is left, and nothing of the host was changed. */
  const expectClean = async () => {
    expect(await readdir(path.join(bench.folder, 'sandboxes'))).toEqual([])
    for (const id of bench.ids.slice(-2)) expect(await findByCommandLine(`berth-build:${id}`)).toEqual([])
    expect(await readFile(path.join(outside, 'canary'), 'utf8')).toBe(secret)
    expect(await readdir(outside)).toEqual(['canary'])
    expect(await readFile('/proc/self/mounts', 'utf8')).not.toMatch(/berth-(build|stage) /)
    const places = await findCgroupPlaces()
    if (places)
      expect((await readdir(places.pids)).filter((name) => bench.ids.some((id) => name.includes(id)))).toEqual([])
  }

  describe.each(tried)('by %s', (name) => {
    let engine: Engine
    const attempt = async (containerfile: string, over: Parameters<Bench['build']>[2] = {}) => {
      const made = await bench.build(engine, containerfile, over)
      await expectClean()
      return made
    }
    beforeAll(async () => {
      const all = await findEngines(testSettings(bench.folder))
      const one = 'engines' in all ? all.engines.find((each) => each.name === name) : undefined
      if (!one) throw new Error(`${name} is gone`)
      engine = one
    })

    test('a step sees neither files, processes, environments nor networks of the host', async () => {
      const { text, failure } = await attempt(`${withShell}RUN \
cat ${outside}/canary /proc/1/root${outside}/canary /proc/1/cwd${outside}/canary /etc/shadow; \
grep -a CANARY /proc/*/environ; ls -a / /proc/1/root; cat /proc/1/cmdline; \
for file in /dev/vda /dev/sda /dev/mem /dev/kmsg /dev/fuse /proc/kcore; do head -c 1 $file 2>/dev/null && echo "read $file"; done; \
mount -t proc proc /mnt && echo mounted; mknod /tmp/disk b 8 0 && head -c 1 /tmp/disk && echo "read disk"; \
echo 1 > /proc/sys/kernel/panic && echo "wrote kernel"; echo 0 > /proc/sys/user/max_user_namespaces && echo "wrote user"; \
chroot /proc/1/root cat ${outside}/canary; \
(nc -w 1 127.0.0.1 ${port} || nc -w 1 169.254.169.254 80 || nc -w 1 10.0.0.1 80) </dev/null && echo connected; \
cat /proc/net/route /proc/net/tcp; hostname; readlink /proc/self/ns/net; kill -9 -1; true`)
      expect(text).not.toContain(secret)
      expect(text).not.toMatch(/^(?:read .*|mounted|wrote .*|connected)$/m)
      expect(text).not.toContain(await readlink('/proc/self/ns/net'))
      expect(asked).toBe(0)
      // To end all processes that it sees is its right.
      if (failure) expect(failure).toMatchObject({ code: 'build_failed' })
    })

    test('a fork bomb is ended with the reason', async () => {
      // What may not fork dies, and a bomb with it: it is lit again until it is seen. On a busy machine it gets few turns.
      const bomb = 'RUN bomb() { bomb | bomb & }; while bomb; do sleep 1; done'
      const { failure } = await attempt(`${withShell}${bomb}`, { limits: { seconds: 60 } })
      expect(failure).toMatchObject({ status: 422, code: 'build_out_of_processes' })
    }, 90_000)

    testWhole('a step that fills the disk is ended with the reason', async () => {
      const { failure } = await attempt(`${withShell}RUN cat /dev/zero > /full`)
      expect(failure).toMatchObject({ status: 422, code: 'build_out_of_disk' })
    })

    testWhole('a step that makes files without end is ended with the reason', async () => {
      const { failure } = await attempt(
        `${withShell}RUN mkdir /d; cd /d; i=0; while : > $i; do i=$((i + 1)); done; echo no space left on device >&2; exit 1`,
        { limits: { diskBytes: 32 << 20 } },
      )
      expect(failure).toMatchObject({ status: 422, code: 'build_out_of_disk' })
    })

    testWhole('a step that takes all memory is ended with the reason', async () => {
      const { failure } = await attempt(`${withShell}RUN x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done`)
      expect(failure).toMatchObject({ status: 422, code: 'build_out_of_memory' })
    })

    testWhole('a step that takes memory in files that it shares is bounded too', async () => {
      const { failure } = await attempt(`${withShell}RUN cat /dev/zero > /dev/shm/full`)
      expect(failure).toMatchObject({
        status: 422,
        code: expect.stringMatching(/^build_(out_of_disk|out_of_memory|failed)$/),
      })
    })

    testWhole('a step without end is ended in time, with what it started', async () => {
      const { failure } = await attempt(
        `${withShell}RUN (trap '' TERM HUP INT; setsid sh -c 'while :; do :; done' & ) ; while :; do :; done`,
        { limits: { seconds: 3 } },
      )
      expect(failure).toMatchObject({ status: 422, code: 'build_timed_out', message: expect.stringContaining('step') })
    })

    testWhole('a step that writes a line without end is ended in time, in little memory', async () => {
      const before = process.memoryUsage.rss()
      const { failure } = await attempt(`${withShell}RUN while :; do cat /dev/zero | tr '\\0' a; done`, {
        limits: { seconds: 4 },
      })
      expect(failure).toMatchObject({ code: 'build_timed_out' })
      expect(process.memoryUsage.rss() - before).toBeLessThan(1 << 30)
    })

    testWhole('a build that is cancelled ends at once with the reason of the signal', async () => {
      const cancelling = new AbortController()
      const { failure } = await attempt(`${withShell}RUN echo begun; sleep 60`, {
        signal: cancelling.signal,
        onLine: ({ text }) => {
          if (text === 'begun') cancelling.abort(new Error('cancelled'))
        },
      })
      expect(failure?.message).toBe('cancelled')
    })

    testWhole('links of a context that lead out lead nowhere', async () => {
      const links = path.join(bench.context, 'links')
      await rm(links, { recursive: true, force: true })
      await mkdir(links)
      for (const [link, to] of [
        ['absolute', outside],
        ['root', '/'],
        ['up', '../../../../../../..'],
        ['file', `${outside}/canary`],
      ] as const)
        await symlink(to, path.join(links, link))
      for (const source of [
        'links/absolute/canary',
        `links/root${outside}/canary`,
        `links/up${outside}/canary`,
        'links/file',
        'links/up/etc/containers/policy.json',
        `../../..${outside}/canary`,
      ]) {
        const { failure, text } = await attempt(`FROM scratch\nCOPY ${source} /stolen\nCOPY busybox /`)
        expect([source, failure]).toMatchObject([source, { code: 'build_failed' }])
        expect(text).not.toContain(secret)
      }
      await rm(links, { recursive: true })
    })

    testWhole('mounts of a step lead nowhere outside of the image that they name', async () => {
      const { output, built } = await bench.build(engine, `${withShell}RUN ln -s / /link; ln -s ../../../.. /up`)
      const bases = new Map([
        ['evil', { layout: output, digest: built?.digest ?? '', mediaType: built?.mediaType ?? '' }],
      ])
      for (const mount of [
        'type=bind,from=evil,source=/link,target=/m,rw',
        'type=bind,from=evil,source=/up,target=/m,rw',
        'type=bind,from=evil,source=/../../..,target=/m',
        'type=bind,source=../../..,target=/m',
        'type=cache,target=/m,source=/../../..,from=evil',
        'type=tmpfs,target=/proc/self/../../m',
      ]) {
        const { text } = await attempt(
          `${withShell}RUN --mount=${mount} ls /m /m/host /m/old; cat /m${outside}/canary /m/work/in/run.sh; echo changed > /m${outside}/canary; true`,
          { bases },
        )
        expect(text).not.toContain(secret)
        // buildah 1.28 follows such links (CVE-2024-1753): what it finds is the sandbox, which is all its own.
        if (name === 'buildkit') expect(text).not.toContain('echo context >&4')
      }
    })

    testWhole('a context that is a bomb, or no context at all, is refused with the reason', async () => {
      const zeros = Buffer.alloc(40 << 20)
      const header = writeHeader({ name: 'a', type: '0', mode: 0o644, size: zeros.length, mtime: 0, linkName: '' })
      const bomb = gzipSync(Buffer.concat([header, zeros, padding(zeros.length), tarEnd]))
      for (const [bytes, message] of [
        [bomb, /200 times/],
        [Buffer.from('no tar'.repeat(200)), /is no tar/],
      ] as const) {
        const { failure } = await attempt('FROM scratch\nCOPY a /', { context: async () => Readable.from([bytes]) })
        expect(failure).toMatchObject({ status: 400, code: 'context_refused', message: expect.stringMatching(message) })
      }
    })

    testWhole('a context larger than the disk of the build is refused', async () => {
      await writeFile(path.join(bench.context, 'large'), randomBytes(40 << 20))
      const { failure } = await attempt('FROM scratch\nCOPY large /', { limits: { diskBytes: 32 << 20 } })
      await rm(path.join(bench.context, 'large'))
      expect(failure).toMatchObject({ status: 400, code: 'context_refused' })
    })

    testWhole('with egress a step reaches what the guard lets it, by the proxy alone', async () => {
      const step = `${withShell}RUN nc -w 1 127.0.0.2 ${port} && echo direct; wget -O- http://127.0.0.2:${port}/ ; \
wget -O- http://169.254.169.254/; printf 'CONNECT 127.0.0.2:${port} HTTP/1.1\\r\\n\\r\\n' | nc 127.0.0.1 3128; env; true`
      const guarded = await attempt(step, { network: 'egress' })
      expect(guarded.failure).toBeUndefined()
      expect(guarded.text).toMatch(/127\.0\.0\.2:\d+: builds reach the ports/)
      expect(guarded.text).not.toMatch(/^direct$/m)
      expect(asked).toBe(0)
      const all = await findEngines({ ...testSettings(bench.folder), allowPrivateEgress: true })
      const open = 'engines' in all ? all.engines.find((each) => each.name === name) : undefined
      const reached = await bench.build(open ?? engine, step, { network: 'egress' })
      expect(reached.text).toMatch(/169\.254\.169\.254 is a link-local or metadata address/)
      expect(reached.text).toMatch(/200 Connection established/)
      expect(asked).toBeGreaterThan(0)
      asked = 0
      expect(reached.built?.digest).toBe(guarded.built?.digest)
      await expectClean()
    })

    testWhole(
      'of a build whose service is killed nothing goes on, and the next start removes what lies about',
      async () => {
        const id = randomUUID()
        const child = startBuilder(bench, engine.name, id)
        await new Promise<void>((resolve, reject) => {
          child.stdout?.on('data', (chunk: Buffer) => {
            if (chunk.includes('begun')) resolve()
          })
          child.once('exit', () => reject(new Error('the builder ended by itself')))
        })
        expect((await findByCommandLine(`berth-build:${id}`)).length).toBeGreaterThan(0)
        child.kill('SIGKILL')
        await new Promise((resolve) => child.once('close', resolve))
        while ((await findByCommandLine(`berth-build:${id}`)).length > 0)
          await new Promise((resolve) => setTimeout(resolve, 20))
        await sweepLeftovers(bench.folder)
        await expectClean()
      },
    )
  })
})

/** Bytes that nothing compresses. */
function randomBytes(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let at = 0; at < size; at += 64) createHash('sha512').update(String(at)).digest().copy(bytes, at)
  return bytes
}

/** A process that builds what does not end. */
function startBuilder(bench: Bench, name: string, id: string): ChildProcess {
  const script = `
    const { findEngines } = await import(${JSON.stringify(new URL('find-engine.ts', import.meta.url).href)})
    const { engines } = await findEngines(${JSON.stringify(testSettings(bench.folder))})
    const { spawn } = await import('node:child_process')
    const plan = {
      id: ${JSON.stringify(id)}, containerfile: ${JSON.stringify(`${withShell}RUN echo begun; sleep 300`)},
      context: async () => spawn('tar', ['-c', '-C', ${JSON.stringify(bench.context)}, '.']).stdout,
      bases: new Map(), buildArgs: new Map(), labels: new Map(), target: null, platforms: [], noCache: false, network: 'none',
      secrets: new Map(), sourceDateEpoch: 0, cache: null, output: ${JSON.stringify(path.join(bench.folder, `output-${id}`))},
    }
    const limits = { seconds: 60, memoryBytes: 2 ** 28, processes: 100, diskBytes: 2 ** 27, contextBytes: 2 ** 26, contextFiles: 100 }
    const onLine = ({ text }) => { if (text === 'begun') console.log(text) }
    await engines.find((one) => one.name === ${JSON.stringify(name)}).build(plan, { limits, signal: new AbortController().signal, onLine, onProgress: () => {} })`
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
}
