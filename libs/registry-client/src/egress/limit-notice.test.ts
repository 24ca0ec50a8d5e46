import { describe, expect, test } from '@jest/globals'
import { readLimitNotice, retryAfterSeconds } from './limit-notice.ts'

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds

describe('what an upstream says of its limits', () => {
  test.each<[string, number, Record<string, string>, number | undefined]>([
    ['nothing', 200, {}, undefined],
    ['a refusal without a time', 429, {}, undefined],
    ['a refusal with seconds', 429, { 'retry-after': '30' }, 30],
    ['a refusal with no seconds', 429, { 'retry-after': '0' }, 0],
    ['a refusal with something else', 429, { 'retry-after': 'soon' }, undefined],
    ['a trouble with seconds', 503, { 'retry-after': '5' }, 5],
    ['a trouble without', 503, {}, undefined],
    ['another error with seconds', 404, { 'retry-after': '5' }, undefined],
    ['Docker Hub, something left', 200, { 'ratelimit-remaining': '3;w=21600' }, undefined],
    ['Docker Hub, nothing left, but granted', 200, { 'ratelimit-remaining': '0;w=21600' }, undefined],
    ['Docker Hub, refused: asked again after a while', 429, { 'ratelimit-remaining': '0;w=21600' }, 900],
    ['Docker Hub, refused, in a short window', 429, { 'ratelimit-remaining': '0;w=60' }, 60],
    ['Docker Hub, refused with a time', 429, { 'ratelimit-remaining': '0;w=21600', 'retry-after': '7' }, 7],
    ['a reset in seconds', 200, { 'ratelimit-remaining': '0', 'ratelimit-reset': '12' }, 12],
    ['a reset, but something left', 200, { 'ratelimit-remaining': '1', 'ratelimit-reset': '12' }, undefined],
    ['older names', 200, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '12' }, 12],
    ['the draft of today', 200, { ratelimit: '"default";r=0;t=30' }, 30],
    ['the draft of today, something left', 200, { ratelimit: '"default";r=9;t=30' }, undefined],
    ['several policies, one used up', 200, { ratelimit: '"burst";r=5;t=1, "day";r=0;t=600' }, 600],
    ['an older draft', 200, { ratelimit: 'limit=100, remaining=0, reset=40' }, 40],
    ['an older draft, refused', 429, { ratelimit: 'limit=100, remaining=0, reset=40' }, 40],
    ['nonsense', 200, { 'ratelimit-remaining': 'x', 'ratelimit-reset': 'y', ratelimit: ';;r=;t=' }, undefined],
  ])('%s', (_title, status, headers, waitSeconds) => {
    expect(readLimitNotice(status, headers)?.waitSeconds).toBe(waitSeconds)
  })

  test.each<[string, Record<string, string>]>([
    ['a date', { 'retry-after': new Date(Date.now() + 60_000).toUTCString() }],
    ['a moment of Docker Hub', { 'x-retry-after': String(inSeconds(60)) }],
    ['a moment of reset', { 'x-ratelimit-reset': String(inSeconds(60)) }],
  ])('a refusal until %s', (_title, headers) => {
    const { waitSeconds = 0 } = readLimitNotice(429, headers) ?? {}
    expect(Math.abs(waitSeconds - 60)).toBeLessThanOrEqual(2)
  })

  test('a moment that has passed is no wait', () => {
    expect(readLimitNotice(429, { 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' })?.waitSeconds).toBe(0)
    expect(readLimitNotice(429, { 'x-retry-after': '1445412480' })?.waitSeconds).toBe(0)
  })

  test.each<[string, number, Record<string, string>]>([
    ['the draft of today', 200, { ratelimit: '"a";r=0;t=99999999999999999999' }],
    ['more digits than a number has', 200, { ratelimit: `"a";r=0;t=${'9'.repeat(400)}` }],
    ['an older draft, refused', 429, { ratelimit: 'limit=1, remaining=0, reset=99999999999999999999' }],
    ['a moment of reset', 200, { 'ratelimit-remaining': '0', 'ratelimit-reset': '999999999999' }],
    ['seconds', 429, { 'retry-after': '999999999' }],
    ['a date', 429, { 'retry-after': 'Sat, 13 Sep 275760 00:00:00 GMT' }],
  ])('no wait is longer than 30 days: %s', (_title, status, headers) => {
    expect(readLimitNotice(status, headers)?.waitSeconds).toBe(30 * 86_400)
    if (headers['retry-after']) expect(retryAfterSeconds(headers['retry-after'])).toBe(30 * 86_400)
  })

  test('a hostile one is read at once', () => {
    const startedAt = performance.now()
    const long = '"a";r=0'.repeat(20_000)
    readLimitNotice(429, {
      ratelimit: long,
      'ratelimit-remaining': '0'.repeat(100_000),
      'retry-after': '1'.repeat(100_000),
    })
    expect(performance.now() - startedAt).toBeLessThan(200)
  })
})
