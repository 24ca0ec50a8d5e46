import { expect, test } from '@jest/globals'

// The bootstrap is plain JavaScript, which has no types.
const { findMissedStops } = (await import(new URL('./missed-stops.mjs', import.meta.url).href)) as {
  findMissedStops: (text: string) => number[]
}

const listening = "  signal.addEventListener('abort', stop, { once: true })"

test('a function that listens for an abort and never looks whether it has come is named by its line', () => {
  expect(findMissedStops(`import a from 'a'\n\nexport function wait(signal) {\n${listening}\n}\n`)).toEqual([4])
})

test.each(['  if (signal.aborted) stop()', '  signal.throwIfAborted()', '  if (signal?.aborted === true) return'])(
  'one that looks is fine: %s',
  (line) => {
    expect(findMissedStops(`async function wait(signal) {\n${line}\n${listening}\n}\n`)).toEqual([])
  },
)

test('what another function looks at does not count', () => {
  const other = 'const other = (signal) => {\n  signal.throwIfAborted()\n}'
  expect(findMissedStops(`${other}\nfunction wait(signal) {\n${listening}\n}\n`)).toEqual([5])
})
