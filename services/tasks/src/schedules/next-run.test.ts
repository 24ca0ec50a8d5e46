import { describe, expect, test } from '@jest/globals'
import { BadCron, checkCron, isTimeZone, nextRun } from './next-run.ts'

/** The times after one, as many as are wanted. */
function runs(cron: string, zone: string, after: string, count: number): string[] {
  const found: string[] = []
  for (let at: Date | undefined = new Date(after); found.length < count; ) {
    at = nextRun(cron, zone, at)
    if (!at) break
    found.push(at.toISOString().replace(':00.000Z', 'Z'))
  }
  return found
}

test.each<[string, string, string, string, string[]]>([
  ['every day', '@daily', 'UTC', '2026-01-01T00:00:00Z', ['2026-01-02T00:00Z', '2026-01-03T00:00Z']],
  [
    'every quarter of an hour',
    '*/15 * * * *',
    'UTC',
    '2026-01-01T00:50:00Z',
    ['2026-01-01T01:00Z', '2026-01-01T01:15Z'],
  ],
  ['in a zone', '30 2 * * 1-5', 'Europe/Berlin', '2026-01-02T12:00:00Z', ['2026-01-05T01:30Z', '2026-01-06T01:30Z']],
  [
    'on the last day of a month',
    '0 0 L * *',
    'UTC',
    '2026-01-30T00:00:00Z',
    ['2026-01-31T00:00Z', '2026-02-28T00:00Z'],
  ],
  [
    'a time that spring leaves out is the first instant after the gap',
    '30 2 * * *',
    'Europe/Berlin',
    '2026-03-28T00:00:00Z',
    ['2026-03-28T01:30Z', '2026-03-29T01:00Z', '2026-03-30T00:30Z'],
  ],
  [
    'several times that spring leaves out are one',
    '*/30 2 * * *',
    'Europe/Berlin',
    '2026-03-28T12:00:00Z',
    ['2026-03-29T01:00Z', '2026-03-30T00:00Z', '2026-03-30T00:30Z'],
  ],
  [
    'a time that autumn shows twice is the first of the two',
    '30 2 * * *',
    'Europe/Berlin',
    '2026-10-24T12:00:00Z',
    ['2026-10-25T00:30Z', '2026-10-26T01:30Z'],
  ],
  [
    'each minute of an hour that autumn shows twice comes once',
    '*/30 2 * * *',
    'Europe/Berlin',
    '2026-10-24T12:00:00Z',
    ['2026-10-25T00:00Z', '2026-10-25T00:30Z', '2026-10-26T01:00Z'],
  ],
  [
    'a gap of half an hour',
    '15 2 * * *',
    'Australia/Lord_Howe',
    '2026-10-03T00:00:00Z',
    ['2026-10-03T15:30Z', '2026-10-04T15:15Z'],
  ],
  ['so often', '@every 90m', 'Europe/Berlin', '2026-03-29T00:00:00Z', ['2026-03-29T01:30Z', '2026-03-29T03:00Z']],
  ['a day that no year has', '0 0 30 2 *', 'UTC', '2026-01-01T00:00:00Z', []],
])('%s', (_title, cron, zone, after, expected) => {
  expect(runs(cron, zone, after, Math.max(expected.length, 1))).toEqual(expected)
})

describe('what is no cron expression is refused with the place', () => {
  test.each<[string, number]>([
    ['* * * *', 7],
    ['* * * * * *', 10],
    ['61 * * * *', 0],
    ['0 25 * * *', 2],
    ['0 0 0 * *', 4],
    ['0 0  * 13 *', 7],
    ['0 0 * * MOON', 8],
    ['*/0 * * * *', 0],
    ['5-1 * * * *', 0],
    ['@never', 0],
    ['@every 0s', 0],
    ['@every 1.5h', 0],
    ['', 0],
  ])('%j at %d', (cron, position) => {
    let refused: unknown
    try {
      checkCron(cron)
    } catch (error) {
      refused = error
    }
    expect(refused).toBeInstanceOf(BadCron)
    expect((refused as BadCron).position).toBe(position)
  })
})

test('zones are those of the IANA database', () => {
  expect(['Europe/Berlin', 'UTC', 'America/Argentina/Ushuaia'].map(isTimeZone)).toEqual([true, true, true])
  expect(['Mars/Base', '', 'Europe/Berlin; drop'].map(isTimeZone)).toEqual([false, false, false])
})
