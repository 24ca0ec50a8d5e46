import { existsSync } from 'node:fs'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { startOf } from '../sandbox/processes.ts'
import { type Bench, createBench, testSettings, withShell } from './engine.fixture.ts'
import { findEngine, findEngines, sweepLeftovers } from './find-engine.ts'
import { readLayout } from './layout.fixture.ts'

const whole = process.env.BERTH_TEST_BUILD === 'true'
const found = await findEngines(testSettings(''))
const why =
  'missing' in found ? found.missing : existsSync('/bin/busybox') ? undefined : 'apt-get install busybox-static'
const names = 'engines' in found ? found.engines.map(({ name }) => name) : []
const group = why ? describe.skip : describe

group(`builds${why ? ` (skipped: ${why})` : ''}`, () => {
  let bench: Bench
  beforeAll(async () => {
    bench = await createBench()
  })
  afterAll(() => bench.close())

  test('the engine that is taken is the first of those that are here', async () => {
    expect(await findEngine(testSettings(bench.folder))).toMatchObject({ engine: { name: names[0] } })
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

  describe.each(whole ? names : names.slice(0, 1))('by %s', (name) => {
    const engineOf = async () => {
      const here = await findEngines(testSettings(bench.folder))
      const engine = 'engines' in here ? here.engines.find((one) => one.name === name) : undefined
      if (!engine) throw new Error(`${name} is gone`)
      return engine
    }

    test('an image is built from a context with arguments, labels and a secret that no layer and no log has', async () => {
      const { built, text, output, failure } = await bench.build(
        await engineOf(),
        `${withShell}ARG WORD\nRUN --mount=type=secret,id=key cat /run/secrets/key; echo "$WORD" > /word`,
        {
          buildArgs: new Map([['WORD', "it's"]]),
          labels: new Map([['a.label', 'of mine']]),
          secrets: new Map([['key', Buffer.from('do not tell')]]),
        },
      )
      expect(failure).toBeUndefined()
      const { image, manifest } = await readLayout(output)
      expect(image.digest).toBe(built?.digest)
      expect(manifest.layers).toHaveLength(3)
      expect(text).not.toContain('do not tell')
      expect(await readdir(path.join(bench.folder, 'sandboxes'))).toEqual([])
    })
  })
})
