import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, expect, test } from '@jest/globals'
import { createOpenFolders } from './open-folders.ts'

const root = mkdtempSync(path.join(tmpdir(), 'berth-open-folders-'))
afterAll(() => rmSync(root, { recursive: true }))

const onLinux = process.platform === 'linux' ? test : test.skip

/** The folders of this test that this process has open, by name. */
const heldOpen = () =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`)
      return target.startsWith(root) ? [path.basename(target)] : []
    } catch {
      // It was the descriptor of the listing.
      return []
    }
  })

function newFolders(prefix: string, count: number): string[] {
  const paths = Array.from({ length: count }, (_, i) => path.join(root, `${prefix}-${i}`))
  for (const folder of paths) mkdirSync(folder)
  return paths
}

onLinux(
  'a folder that is synced again and again is opened once, and let go of when nobody needs it any more',
  async () => {
    const folders = createOpenFolders(50)
    const [folder] = newFolders('idle', 1) as [string]
    for (let i = 0; i < 3; i++) await folders.sync(folder)
    expect(heldOpen()).toEqual(['idle-0'])
    const until = Date.now() + 10_000
    while (heldOpen().length > 0 && Date.now() < until) await pause(10)
    expect(heldOpen()).toEqual([])
  },
)

onLinux('no more than 256 folders are held open, and none after the end', async () => {
  const folders = createOpenFolders()
  await Promise.all(newFolders('many', 300).map((folder) => folders.sync(folder)))
  expect(heldOpen()).toHaveLength(256)
  await folders.close()
  expect(heldOpen()).toEqual([])
})

test('a folder that is not there is told of, and synced once it is', async () => {
  const folders = createOpenFolders()
  const folder = path.join(root, 'late')
  await expect(folders.sync(folder)).rejects.toThrow('ENOENT')
  mkdirSync(folder)
  await folders.sync(folder)
  await folders.close()
})
