import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFileSystemStore } from '@berth/blobs'
import { createLogger, Problem } from '@berth/service'
import { expect, test } from '@jest/globals'
import { outcomeOfError, TaskCancelled, TaskLost } from './outcome.ts'

const log = createLogger({ service: 'test', silent: true })
const context = { task: { id: 'one', kind: 'gc' }, signal: new AbortController().signal, log }

test('a task that meets a blob store which is away says so, and not that Berth is at fault', async () => {
  const root = mkdtempSync(join(tmpdir(), 'berth-blobs-'))
  const blobs = createFileSystemStore({ root })
  const failure: unknown = await Array.fromAsync(blobs.walk()).catch((error: unknown) => error)
  expect(outcomeOfError(failure, context)).toMatchObject({
    state: 'failed',
    error: { code: 'store_unavailable', message: expect.stringContaining('is not mounted') },
  })
  await blobs.close()
  await rm(root, { recursive: true })
})

test('a task that was cancelled is told as that, in the words of its kind, whatever failed because of it', () => {
  const cancelled = { ...context, signal: AbortSignal.abort(new TaskCancelled()) }
  expect(outcomeOfError(new Error('aborted'), cancelled)).toMatchObject({
    state: 'cancelled',
    error: { code: 'cancelled', message: expect.stringContaining('stays done') },
  })
  expect(outcomeOfError(new Error('aborted'), { ...cancelled, cancelled: 'Nothing is visible.' })).toEqual({
    state: 'cancelled',
    error: { code: 'cancelled', message: 'Nothing is visible.' },
  })
})

test('an error ends no task that is lost, or that needs what is away', () => {
  const lost = { ...context, signal: AbortSignal.abort(new TaskLost()) }
  expect(() => outcomeOfError(new Error('aborted'), lost)).toThrow(TaskLost)
  const away = new Problem(503, 'service_unavailable', 'The catalog service does not answer.')
  expect(() => outcomeOfError(away, context)).toThrow(away)
})

test('a foreign server that refuses the connection ends the task, though a database that does ends none', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  expect(() => outcomeOfError(refused, context)).toThrow(refused)
  expect(outcomeOfError(refused, { ...context, isForeign: () => true })).toMatchObject({ state: 'failed' })
})

test('what a kind of task knows itself is told in its words, a problem in its own, and anything else is only logged', () => {
  const explain = (error: unknown) => (error instanceof TypeError ? { code: 'odd', message: 'It is odd.' } : undefined)
  const tell = (error: unknown) => outcomeOfError(error, { ...context, explain }).error
  expect(tell(new TypeError('x'))).toEqual({ code: 'odd', message: 'It is odd.' })
  expect(tell(new Problem(409, 'in_use', 'It is in use.'))).toEqual({ code: 'in_use', message: 'It is in use.' })
  expect(tell(new Error('a secret'))).toEqual({
    code: 'internal_error',
    message: 'Something went wrong in Berth; the log says what.',
  })
})
