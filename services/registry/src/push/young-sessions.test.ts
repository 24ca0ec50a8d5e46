import { setImmediate as turn } from 'node:timers/promises'
import { OciError } from '@berth/oci'
import { expect, test } from '@jest/globals'
import { createYoungSessions } from './young-sessions.ts'

const longest = 2 ** 30
const ana = { repository: 'team/app', subject: 'ana' }
const part = { id: 'p', startOffset: 0, sizeBytes: 10, sha256: 'x' }

/** Rows that are made when the test says so. */
function rows() {
  const asked: string[] = []
  let answers: ((error: Error | undefined) => void)[] = []
  return {
    asked,
    record: (id: string) =>
      new Promise<void>((resolve, reject) => {
        asked.push(id)
        answers.push((error) => (error ? reject(error) : resolve()))
      }),
    answer: (error?: Error) => {
      for (const answer of answers) answer(error)
      answers = []
    },
  }
}

test('a session that ends in time has no row, and one that does not gets it', async () => {
  const { asked, record, answer } = rows()
  const young = createYoungSessions(record, { restMs: 20 })
  for (const id of ['soon', 'late']) {
    young.begin(id)
    expect(young.hold(id, ana, part)).toBe(true)
  }
  expect(young.find('soon', ana)).toEqual(part)
  expect(young.find('soon', { ...ana, subject: 'ben' })).toBeUndefined()
  expect(await young.end('soon', async (kept) => kept)).toEqual(part)
  expect(young.find('soon', ana)).toBeUndefined()
  while (asked.length === 0) await turn()
  expect(asked).toEqual(['late'])
  answer()
  await young.settle('late')
  expect(young.find('late', ana)).toBeUndefined()
})

test('only the first chunk of a session that was begun here is kept, and so many sessions as there is room for', () => {
  const young = createYoungSessions(async () => undefined, { mostHeld: 1, restMs: longest })
  expect(young.hold('unknown', ana, part)).toBe(false)
  for (const id of ['one', 'other']) young.begin(id)
  expect(young.hold('one', ana, part)).toBe(true)
  expect(young.hold('one', ana, part)).toBe(false)
  expect(young.hold('other', ana, part)).toBe(false)
})

test('who claims a session waits for its row, and nothing is kept of it behind that', async () => {
  const { asked, record, answer } = rows()
  const young = createYoungSessions(record, { restMs: longest })
  for (const id of ['held', 'empty']) young.begin(id)
  young.hold('held', ana, part)
  await young.settle('empty')
  expect(young.hold('empty', ana, part)).toBe(false)
  const claims = Promise.all([young.settle('held'), young.settle('held')])
  const ending = young.end('held', async (kept) => kept)
  answer()
  await claims
  expect(await ending).toEqual(part)
  expect(asked).toEqual(['held'])
})

test('a row that could not be made is tried again by who needs it, and the chunk is kept until then', async () => {
  const { record, answer } = rows()
  const young = createYoungSessions(record, { restMs: longest })
  young.begin('one')
  young.hold('one', ana, part)
  const claim = young.settle('one')
  answer(new Error('the database is away'))
  await expect(claim).rejects.toThrow('away')
  expect(young.find('one', ana)).toEqual(part)
  const stopping = young.stop()
  answer()
  await stopping
  expect(young.find('one', ana)).toBeUndefined()
})

test('a session that ends is found until its row says so, and stays when it cannot', async () => {
  const { record, answer } = rows()
  const young = createYoungSessions(record, { restMs: longest })
  young.begin('one')
  young.hold('one', ana, part)
  await expect(young.end('one', () => Promise.reject(new Error('the database is away')))).rejects.toThrow('away')
  const { promise, resolve } = Promise.withResolvers<string>()
  const ending = young.end('one', () => promise)
  await turn()
  expect(young.find('one', ana)).toEqual(part)
  resolve('ended')
  expect(await ending).toBe('ended')
  expect(young.find('one', ana)).toBeUndefined()
  answer()
})

test('what an account may not have is let go, and after a stop nothing is kept', async () => {
  const young = createYoungSessions(() => Promise.reject(new OciError('TOOMANYREQUESTS', 'too many')), {
    restMs: longest,
  })
  for (const id of ['one', 'other']) young.begin(id)
  young.hold('one', ana, part)
  await expect(young.settle('one')).rejects.toThrow('too many')
  expect(young.find('one', ana)).toBeUndefined()
  await young.stop()
  expect(young.hold('other', ana, part)).toBe(false)
})
