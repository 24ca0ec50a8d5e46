import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from '@jest/globals'
import { ComparedFile } from './compared-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-compared-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('of a source that agrees and then breaks off, or is wrong at its end, nothing is written', async () => {
  const [stored, own] = [join(folder, 'stored'), join(folder, 'own')]
  writeFileSync(stored, 'twenty bytes of it...')
  const file = new ComparedFile(own, 'sha256', Promise.resolve(stored))
  try {
    await file.put(Buffer.from('twenty bytes'), 12, 0)
    await expect(file.settle(Promise.reject(new Error('hung up')))).rejects.toThrow('hung up')
    expect(existsSync(own)).toBe(false)
  } finally {
    await file.close()
  }
})
