import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { withBerth } from '../berth/with-berth.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { openSkopeoShell, typePage } from './skopeo-shell.ts'

const missing = missingPrograms('skopeo', 'curl')
const describePage = missing.length > 0 ? describe.skip : describe

describePage(
  `the page about the audit trail${missing.length > 0 ? ` (skipped: ${missing.join(', ')} missing)` : ''}`,
  () => {
    const stack = withBerth()
    let folder: string
    let setUp: string

    beforeAll(async () => {
      folder = makeTemporaryFolder('pages-audit')
      setUp = await openSkopeoShell(stack, folder)
    }, 90_000)
    afterAll(() => {
      if (folder) removeFolder(folder)
    })

    test('does what it says, typed as it is written', async () => {
      expect(await typePage('audit', 'audit', stack, { cwd: folder, setUp })).toBeGreaterThan(3)
    }, 60_000)
  },
)
