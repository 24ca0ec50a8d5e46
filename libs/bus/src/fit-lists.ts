import { nameLimit } from './events/fields.ts'

/** Bytes that the lists of one event may take together as JSON; the rest of the event fits into what is left of its 256 KiB. */
export const listBudgetBytes = 192 << 10

/**
 * Cuts the lists of an event to as many entries as fit: 1,000 each at most, and `listBudgetBytes` together. Lists that come
 * first are filled first; a count beside each must say how many there are.
 */
export function fitLists<Lists extends Record<string, readonly unknown[]>>(lists: Lists): Lists {
  let leftBytes = listBudgetBytes
  const fitted = Object.entries(lists).map(([name, entries]) => {
    const kept: unknown[] = []
    for (const entry of entries.slice(0, nameLimit)) {
      // one more for the comma
      leftBytes -= Buffer.byteLength(JSON.stringify(entry)) + 1
      if (leftBytes < 0) break
      kept.push(entry)
    }
    return [name, kept] as const
  })
  return Object.fromEntries(fitted) as unknown as Lists
}
