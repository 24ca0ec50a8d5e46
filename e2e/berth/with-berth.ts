import {
  type MisbehavingUpstream,
  markImages,
  startMisbehavingUpstream,
} from '@berth/registry-client/misbehaving-upstream'
import { afterAll, beforeAll, expect } from '@jest/globals'
import type { Berth } from './berth.ts'
import { borrowBerth, giveBackBerth } from './borrowed.ts'
import { sha256 } from './sha256.ts'
import { type StackOptions, startTestStack, type TestStack } from './stack.ts'

type OwnBerth = StackOptions & { own: true }

/**
 * A Berth around the tests of a file, or of a group of them. Without options it is one that is lent to one file after
 * another, in which each finds nothing by name and leaves nothing. A file whose tests stop it, set it up differently, look
 * at what all of it holds or leave what cannot be taken away has one of its `own`; a function first starts what that needs.
 * Hooks run in the order in which they are written: what uses its database to the end is closed by one above this.
 */
export function withBerth(): Berth
export function withBerth(own: OwnBerth | (() => Promise<OwnBerth>)): TestStack
export function withBerth(own?: OwnBerth | (() => Promise<OwnBerth>)): Berth | TestStack {
  if (!own) {
    markImages(sha256(expect.getState().testPath ?? '').slice(-8))
    return around('Berth', borrowBerth, giveBackBerth)
  }
  const start = async () => startTestStack(typeof own === 'function' ? await own() : own)
  return around('Berth', start, (stack) => stack.stop())
}

/** An upstream that does what tests ask of it, around the tests of a file or of a group. */
export function withUpstream(options: Parameters<typeof startMisbehavingUpstream>[0] = {}): MisbehavingUpstream {
  return around(
    'upstream',
    () => startMisbehavingUpstream(options),
    (upstream) => upstream.close(),
  )
}

/** Stands for what is started before the first test, until it is there. */
function around<T extends object>(what: string, start: () => Promise<T>, stop: (started: T) => Promise<void>): T {
  let started: T | undefined
  beforeAll(async () => {
    started = await start()
  }, 90_000)
  afterAll(async () => {
    if (started) await stop(started)
  }, 60_000)
  return new Proxy({} as T, {
    get: (_target, key) => {
      if (!started) throw new Error(`the ${what} is not started yet: use it in tests and hooks`)
      return started[key as keyof T]
    },
  })
}
