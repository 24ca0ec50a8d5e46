import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { withBerth } from '../berth/with-berth.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { openSkopeoShell, typePage } from './skopeo-shell.ts'

const missing = missingPrograms('skopeo', 'curl')
const describePages = missing.length > 0 ? describe.skip : describe

describePages(
  `the pages about transfers${missing.length > 0 ? ` (skipped: ${missing.join(', ')} missing)` : ''}`,
  () => {
    const stack = withBerth()
    let folder: string
    let setUp: string

    beforeAll(async () => {
      folder = makeTemporaryFolder('pages-transfers')
      setUp = await openSkopeoShell(stack, folder)
    }, 90_000)
    afterAll(() => {
      if (folder) removeFolder(folder)
    })

    test.each([
      ['static-mirror', 1],
      ['air-gap', 8],
    ])(
      '%s does what it says, typed as it is written',
      async (name, steps) => {
        expect(await typePage(name, name, stack, { cwd: folder, setUp })).toBeGreaterThan(steps)
      },
      120_000,
    )
  },
)
