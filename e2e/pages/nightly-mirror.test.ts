import { imageOf } from '@berth/registry-client/misbehaving-upstream'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { basic } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { readTour, screenOf, typeAll } from './tour.ts'

const missing = missingPrograms('curl')
const describePage = missing.length > 0 ? describe.skip : describe

describePage(
  `the page about a nightly mirror${missing.length > 0 ? ` (skipped: ${missing.join(', ')} missing)` : ''}`,
  () => {
    const stack = withBerth()
    const upstream = withUpstream()
    let folder: string
    beforeAll(() => {
      folder = makeTemporaryFolder('pages-nightly')
      for (const name of ['library/alpine', 'library/nginx'])
        for (const tag of ['1.0.0', '1.1.0', '1.2.0', '1.3.0', 'edge'])
          upstream.add(name, tag, imageOf(`${name} ${tag}`, 500))
    })
    afterAll(() => {
      if (folder) removeFolder(folder)
    })

    test('brings a set of images, typed as it is written', async () => {
      const steps = readTour(new URL('../../docs/how-to/nightly-mirror.md', import.meta.url), 'nightly-mirror')
      // The upstream of the test is on this machine.
      const here = (text: string) =>
        text.replace('"url": "https://registry.example"', `"url": "${upstream.url}", "allowPrivateAddresses": true`)
      const setUp = `export BERTH=${stack.url} LOGIN='${stack.user}:${stack.password}'`
      const outputs = await typeAll(
        steps.map(({ command }) => here(command)),
        { cwd: folder, setUp },
      )
      for (const [i, step] of steps.entries()) expect(outputs[i]).toMatch(screenOf(step))
      expect(steps.length).toBe(6)
      const pulled = await fetch(`${stack.url}/v2/mirror/library/alpine/tags/list`, {
        headers: { authorization: basic(stack) },
      })
      expect(await pulled.json()).toEqual({ name: 'mirror/library/alpine', tags: ['1.1.0', '1.2.0', '1.3.0'] })
    }, 60_000)
  },
)
