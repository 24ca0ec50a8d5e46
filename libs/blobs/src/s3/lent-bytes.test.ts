import { expect, test } from '@jest/globals'
import { LentBytes } from './lent-bytes.ts'

/** The same numbers for the same seed, so that what fails can be run again. */
function numbersOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((state / 2 ** 31) * below)
  }
}

test.each(Array.from({ length: 40 }, (_, i) => i))(
  'whatever the pace of both sides, bytes come out in order, and none that is lent is written over (seed %i)',
  (seed) => {
    const below = numbersOf(seed)
    const total = 4_000
    let [sent, taken] = [0, 0]
    const put = (buffer: Buffer, count: number) => {
      for (let i = 0; i < count; i++) buffer[i] = (sent + i) % 251
      sent += count
    }
    const head = Buffer.alloc(64)
    const [start, end] = [below(20), 20 + below(44)]
    put(head.subarray(start), end - start)
    const bytes = new LentBytes({ buffer: head, start, end }, [Buffer.alloc(100), Buffer.alloc(100)])
    let room = bytes.room()
    let lent: Buffer | undefined
    const check = () => {
      const wrong = lent?.findIndex((byte, i) => byte !== (taken + i) % 251) ?? -1
      expect(wrong).toBe(-1)
    }
    while (taken < total) {
      // A socket that was told to stop may still come with some, as TLS does.
      const comes = sent < total && below(2) === 0 && (bytes.hasRoom || below(3) === 0)
      if (comes) {
        const count = Math.min(1 + below(room.length), total - sent)
        put(room, count)
        bytes.add(count)
        room = bytes.room()
        expect(room.length).toBeGreaterThan(0)
        check()
      } else if (below(2) === 0) {
        check()
        taken += lent?.length ?? 0
        lent = bytes.next()
        check()
      }
    }
    expect(sent).toBe(total)
    expect(bytes.next()).toBeUndefined()
  },
)

test('a reader that stops when it is told to is given large buffers only, and goes on once one of them is given back', () => {
  const large = [Buffer.alloc(100), Buffer.alloc(100)]
  const bytes = new LentBytes({ buffer: Buffer.alloc(10), start: 0, end: 0 }, large)
  const fill = () => {
    const room = bytes.room()
    bytes.add(room.length)
    return room.buffer
  }
  expect(fill()).toBe(large[0]?.buffer)
  expect(bytes.hasRoom).toBe(true)
  expect(fill()).toBe(large[1]?.buffer)
  expect(bytes.hasRoom).toBe(false)
  expect(bytes.next()?.length).toBe(100)
  expect(bytes.hasRoom).toBe(false)
  bytes.room()
  expect(bytes.next()?.length).toBe(100)
  expect(bytes.hasRoom).toBe(true)
})
