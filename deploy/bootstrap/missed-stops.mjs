// A signal that is aborted already calls no listener that is added later. A function that listens for an abort therefore has to look at
// `aborted` too, or it may wait for good.
const listens = /\.addEventListener\('abort'/
const looks = /\baborted\b|throwIfAborted/
const begins = /^(export |async |function |const |let |class )/

/**
 * The lines of a source file, from 1, at which it listens for an abort in a function that never looks whether it has come.
 *
 * @param {string} text
 * @returns {number[]}
 */
export function findMissedStops(text) {
  /** @type {{ line: string; number: number }[][]} */
  const parts = []
  for (const [index, line] of text.split('\n').entries()) {
    if (parts.length === 0 || begins.test(line)) parts.push([])
    parts.at(-1)?.push({ line, number: index + 1 })
  }
  return parts
    .filter((part) => !part.some(({ line }) => looks.test(line)))
    .flatMap((part) => part.filter(({ line }) => listens.test(line)).map(({ number }) => number))
}
