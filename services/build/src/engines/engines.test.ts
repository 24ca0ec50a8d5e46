import { execFile, execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { boundCaches } from '../cache/layer-cache.ts'
import { blobPath } from '../layouts/read-base.ts'
import { startOf } from '../sandbox/processes.ts'
import { type Bench, createBench, testSettings, whyNoBuilds, withShell } from './engine.fixture.ts'
import type { Engine } from './engine.ts'
import { findEngine, findEngines, sweepLeftovers } from './find-engine.ts'
import { readLayout } from './layout.fixture.ts'

// Building takes seconds: by default the engine that is taken here shows the main thing, with BERTH_TEST_BUILD=true all show all.
const whole = process.env.BERTH_TEST_BUILD === 'true'
const found = await findEngines(testSettings(''))
const why = await whyNoBuilds()
const here = 'engines' in found ? found.engines.map(({ name }) => name) : []
const absent = ['buildkit', 'buildah'].filter((name) => !here.some((one) => one === name))
// Where there is none all are skipped, and a table may not be empty.
const tried = here.length === 0 ? ['no engine'] : whole ? here : here.slice(0, 1)
const group = why ? describe.skip : describe
const testWhole = whole ? test : test.skip

group(`builds (${why ? `skipped: ${why}` : `not installed: ${absent.join(', ') || 'none'}`})`, () => {
  let bench: Bench
  beforeAll(async () => {
    bench = await createBench()
  })
  afterAll(() => bench.close())

  test('the engine that is taken is the first of those that are here', async () => {
    expect(await findEngine(testSettings(bench.folder))).toMatchObject({ engine: { name: here[0] } })
  })

  test('what a killed service left is swept at the next start, and what a running one has is not', async () => {
    const sandboxes = path.join(bench.folder, 'sandboxes')
    for (const [id, owner] of [
      ['left', '999999999 1'],
      ['alive', `1 ${await startOf(1)}`],
    ] as const) {
      await mkdir(path.join(sandboxes, id, 'stage'), { recursive: true })
      await writeFile(path.join(sandboxes, id, 'owner'), owner)
    }
    await sweepLeftovers(bench.folder)
    expect(await readdir(sandboxes)).toEqual(['alive'])
    await rm(path.join(sandboxes, 'alive'), { recursive: true })
  })

  testWhole('a daemon that does not come up is told with its last words, and as no fault of the build', async () => {
    const programs = await mkdtemp(path.join(bench.folder, 'programs-'))
    const said =
      '#!/bin/sh\ncase "$1" in --version) echo "buildkitd v1.2.3";; *) echo "no room here" >&2; exit 1;; esac\n'
    for (const program of ['buildkitd', 'buildctl', 'buildkit-runc'])
      await writeFile(path.join(programs, program), said, { mode: 0o755 })
    // Programs are looked for where the service finds its own.
    const script = `
      const { createBench, testSettings } = await import(${JSON.stringify(new URL('engine.fixture.ts', import.meta.url).href)})
      const { findEngines } = await import(${JSON.stringify(new URL('find-engine.ts', import.meta.url).href)})
      const bench = await createBench()
      const { engines } = await findEngines(testSettings(bench.folder))
      const engine = engines.find(({ version }) => version === '1.2.3')
      const { failure, text } = await bench.build(engine, 'FROM scratch')
      await bench.close()
      console.log(JSON.stringify({ message: failure.message, status: failure.status ?? null }))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...process.env, PATH: `${programs}:${process.env.PATH}` },
    })
    expect(JSON.parse(stdout)).toEqual({
      message: 'the sandbox did not come up (start, exit code 98): no room here',
      status: null,
    })
  })

  describe.each(tried)('by %s', (name) => {
    let engine: Engine
    const make = async (containerfile: string, over: Parameters<Bench['build']>[2] = {}) => {
      const made = await bench.build(engine, containerfile, over)
      if (!made.built) throw new Error(made.text, { cause: made.failure })
      return { ...made, built: made.built, layout: await readLayout(made.output) }
    }
    /** An image to build on, and what stands for it under a name. */
    const makeBase = async (...names: string[]) => {
      const { output, built } = await make(`${withShell}RUN echo base > /base`)
      return new Map(names.map((one) => [one, { layout: output, digest: built.digest, mediaType: built.mediaType }]))
    }
    beforeAll(async () => {
      const all = await findEngines(testSettings(bench.folder))
      const one = 'engines' in all ? all.engines.find((each) => each.name === name) : undefined
      if (!one) throw new Error(`${name} is gone`)
      engine = one
    })

    test('an image is built from a context with arguments, labels and a secret that no log has', async () => {
      const { layout, text, built } = await make(
        `${withShell}ARG WORD\nRUN --mount=type=secret,id=key cat /run/secrets/key; echo "$WORD" > /word`,
        {
          buildArgs: new Map([['WORD', "it's"]]),
          labels: new Map([['a.label', 'of mine']]),
          secrets: new Map([['key', Buffer.from('do not tell')]]),
        },
      )
      expect(layout.image.digest).toBe(built.digest)
      expect(layout.manifest.layers).toHaveLength(3)
      expect(layout.config).toMatchObject({
        config: { Labels: { 'a.label': 'of mine' } },
        created: '1970-01-01T00:00:00Z',
      })
      expect(text).toContain('[secret]')
      expect(text).not.toContain('do not tell')
      expect(await readdir(path.join(bench.folder, 'sandboxes'))).toEqual([])
    })

    test('layers of the base keep their descriptors and stay away; equal inputs give equal digests, from the cache too', async () => {
      const bases = await makeBase('reg.example:5000/team/base:1', 'tools')
      const [base] = bases.values()
      const own = (await readLayout(base?.layout ?? '')).manifest.layers.map(({ digest }) => digest)
      const containerfile =
        'ARG V=1\nFROM reg.example:5000/team/base:$V AS one\nRUN cat /base > /new\nCOPY --from=tools /base /copied\n'
      const cache = path.join(bench.folder, `cache-${name}`, 'team')
      const first = await make(containerfile, { bases, cache })
      const again = await make(containerfile, { bases, cache })
      const anew = await make(containerfile, { bases, cache, noCache: true })
      expect(first.layout.manifest.layers.map(({ digest }) => digest).slice(0, own.length)).toEqual(own)
      expect(first.layout.blobs).toHaveLength(4)
      expect([again.built.digest, anew.built.digest]).toEqual([first.built.digest, first.built.digest])
      expect([first.built.cached, anew.built.cached]).toEqual([0, 0])
      expect(again.built.cached).toBeGreaterThanOrEqual(2)
      await boundCaches(path.dirname(cache), { bytes: 1 << 30, repositoryBytes: 1 << 30 })
      expect(await make(containerfile, { bases, cache })).toMatchObject({ built: { cached: again.built.cached } })
      await boundCaches(path.dirname(cache), { bytes: 1 << 30, repositoryBytes: 10 })
      expect(await readdir(path.join(cache, 'blobs', 'sha256'))).toEqual([])
    })

    testWhole(
      'no file of a layer is younger than was asked for, whatever it is and however long its name',
      async () => {
        const long = `/${'d'.repeat(120)}/${'e'.repeat(120)}`
        const { layout, output } = await make(
          `${withShell}RUN mkdir -p ${long} && echo a > ${long}/a && ln ${long}/a /b && ln -s /b /c && mkfifo /p && chmod 4755 /b && \
touch -d "1999-01-01 00:00:00" /old\nRUN rm /bin/busybox`,
          { sourceDateEpoch: 1_000_000_000 },
        )
        const listed = layout.manifest.layers.map(({ digest }) => {
          const args = ['-tzv', '--full-time', '-f', blobPath(output, digest)]
          return execFileSync('tar', args, { env: { ...process.env, TZ: 'UTC' } }).toString()
        })
        const times = listed.join('').match(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g) ?? []
        expect(times.filter((time) => time > '2001-09-09 01:46:40')).toEqual([])
        expect(listed[2]).toContain(`${long.slice(1)}/a`)
        expect(listed[2]).toMatch(/-rwsr-xr-x.*\bb\b[^]*old\n/)
        expect(listed[3]).toContain('bin/.wh.busybox')
      },
    )

    testWhole('a stage may be called as the image that it is made of', async () => {
      const bases = await makeBase('base')
      const { layout } = await make('FROM base AS base\nRUN echo 1 > /one\nFROM base\nCOPY --from=base /one /two', {
        bases,
      })
      expect(layout.manifest.layers).toHaveLength(5)
    })

    testWhole('a target, an ignore file and ignored files that are wanted after all', async () => {
      for (const file of ['a.txt', 'b.txt', 'c.md']) await bench.write(file, file)
      await bench.write('.dockerignore', '*.txt\n!b.txt\n')
      const stages = `${withShell.replace('scratch', 'scratch AS one')}COPY . /all\nRUN ls /all\nFROM scratch AS two\nCOPY nothing /`
      const { text } = await make(stages, { target: 'one' })
      expect(text).toContain('b.txt')
      expect(text).toContain('c.md')
      expect(text).not.toMatch(/^a\.txt$/m)
      await rm(path.join(bench.context, '.dockerignore'))
    })

    testWhole('images of several platforms that only copy are one index', async () => {
      const { layout } = await make('FROM scratch\nCOPY busybox /x', { platforms: ['linux/amd64', 'linux/arm64'] })
      expect(layout.manifest.manifests).toMatchObject([
        { platform: { architecture: 'amd64' } },
        { platform: { architecture: 'arm64' } },
      ])
    })
  })
})
