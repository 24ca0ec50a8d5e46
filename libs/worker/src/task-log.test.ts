import { expect, test } from '@jest/globals'
import { createTaskLog } from './task-log.ts'

test('lines are sent some at a time, again until they were heard, and each under its own number', () => {
  const log = createTaskLog()
  expect(log.next()).toBeUndefined()
  for (let n = 0; n < 600; n++) log.note(`line ${n}`)
  const lost = log.next()
  expect(log.next()).toEqual(lost)
  const numbers: number[] = []
  for (let batch = log.next(); batch; batch = log.next()) {
    batch.lines.forEach((line, index) => {
      expect(line.message).toBe(`line ${batch.first + index}`)
      numbers.push(batch.first + index)
    })
    log.sent(batch)
  }
  expect(numbers).toEqual(Array.from({ length: 600 }, (_, n) => n))
})

test('no secret is in a line, whatever an upstream puts around it', () => {
  const personal = `brp_${'correct-horse-battery'.padEnd(43, 'x')}`
  const log = createTaskLog()
  log.note('upstream failed', {
    detail: `GET https://ann:s3cret@hub.example/v2?sig=abcdef: ${personal}, Bearer abcdefghijkl`,
  })
  log.note(`${'a '.repeat(2_040)}${personal}`)
  const text = JSON.stringify(log.next())
  for (const secret of ['s3cret', 'abcdef', 'correct', 'horse']) expect(text).not.toContain(secret)
})

test('of an attempt that says too much no more is held than is kept', () => {
  const log = createTaskLog()
  for (let n = 0; n < 20_000; n++) log.note('again')
  let count = 0
  for (let batch = log.next(); batch; batch = log.next()) {
    count += batch.lines.length
    log.sent(batch)
  }
  log.note('again')
  expect([count, log.next()]).toEqual([10_000, undefined])
})
