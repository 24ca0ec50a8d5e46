import type { CatalogCommands, CommandClient } from '@berth/commands'

/** Numbers under which bytes are stored before catalog hears of them. */
export type Generations = {
  /** A number that nobody else has or will have. Waits for catalog when none is at hand. */
  take(): Promise<number>
  /** One that is at hand, for those that need not have one yet. */
  takeAtHand(): number | undefined
}

const blockNumbers = 1_000
const refillBelow = 250
// Of the 24 hours for which they may be used an upload session has its part.
const usableMs = 3_600_000

/** Takes them from catalog by the thousand, the next thousand before the last one is used up. */
export function createGenerations(
  catalog: CommandClient<CatalogCommands>,
  now: () => number = () => performance.now(),
): Generations {
  let numbers: number[] = []
  let takenAt = Number.NEGATIVE_INFINITY
  let asking: Promise<void> | undefined

  const ask = () => {
    asking ??= catalog
      .call('take-generations', { count: blockNumbers })
      .then((reply) => {
        numbers = reply.numbers.reverse()
        takenAt = now()
      })
      .finally(() => {
        asking = undefined
      })
    return asking
  }
  const takeAtHand = () => {
    if (now() - takenAt > usableMs) numbers = []
    // A number too many is no loss, so the rest of this block is let go when the next one comes.
    if (numbers.length < refillBelow) ask().catch(() => 'told to who needs one')
    return numbers.pop()
  }
  return {
    takeAtHand,
    take: async () => {
      const known = takeAtHand()
      if (known !== undefined) return known
      await ask()
      const number = numbers.pop()
      if (number === undefined) throw new Error('catalog gave no generations')
      return number
    },
  }
}
