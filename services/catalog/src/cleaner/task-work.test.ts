import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFileSystemStore } from '@berth/blobs'
import { createLogger } from '@berth/service'
import { expect, test } from '@jest/globals'
import { workOf } from './task-work.ts'

test('a task that meets a blob store which is away says so, and not that Berth is at fault', async () => {
  const root = mkdtempSync(join(tmpdir(), 'berth-blobs-'))
  const blobs = createFileSystemStore({ root })
  const walk = () => Array.fromAsync(blobs.walk())
  const work = workOf(createLogger({ service: 'catalog', silent: true }), walk)
  const task = { id: 'one', kind: 'gc' } as Parameters<typeof work>[0]
  const outcome = await work(task, { signal: new AbortController().signal, report: () => {} })
  expect(outcome).toMatchObject({
    state: 'failed',
    error: { code: 'store_unavailable', message: expect.stringContaining('is not mounted') },
  })
  await blobs.close()
  await rm(root, { recursive: true })
})
