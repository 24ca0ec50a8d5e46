/** Says one step on stderr, so that stdout belongs to the program that is started. */
export function say(text) {
  process.stderr.write(`berth: ${text}\n`)
}

/** Ends the bootstrap with its message and exit code 1, without a stack trace: the reader can do something about it. */
export class CannotGoOn extends Error {
  name = 'CannotGoOn'
}
