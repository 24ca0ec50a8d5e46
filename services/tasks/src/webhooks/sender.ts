import { type Loop, startLoop } from '@berth/bus'
import type { Logger } from '@berth/service'
import { type Claimed, claimDeliveries } from './claim.ts'
import { makeDeliveries } from './make-deliveries.ts'
import type { WebhookCounts } from './measure-webhooks.ts'
import { recordOutcome } from './record-outcome.ts'
import { type SendDeps, send } from './send.ts'

const pollMs = 1_000
// Of bodies of 256 KiB at most; of those whose last try came to nothing, and so may hang, and of the others.
const atOnce = { failing: 64, good: 128 }

export type Sender = {
  /** Events were logged, which may be wanted. */
  newsCame: Loop['wake']
  /** Something is due. */
  wake: Loop['wake']
  stop(): Promise<void>
}

/**
 * Sends what webhooks want: makes deliveries of the log of events, and tries those that are due. `waitsSeconds` are the waits before each
 * try of a delivery, of which there are as many.
 */
export function startSender(
  deps: SendDeps & { log: Logger; count: WebhookCounts; waitsSeconds: readonly number[] },
): Sender {
  const { db, accounts, log, count, waitsSeconds } = deps
  const sending = { failing: new Map<string, Promise<void>>(), good: new Map<string, Promise<void>>() }
  const over = new AbortController()
  const making = startLoop({
    pollMs,
    pauseAfterFailureMs: pollMs,
    onError: (error) => log.warn('events will be sent to webhooks later', { error }),
    run: async (signal) => {
      while (!signal.aborted && (await makeDeliveries(db.background, accounts)));
    },
  })
  const sendOne = async (claimed: Claimed, kind: keyof typeof sending) => {
    try {
      const outcome = await send(deps, claimed, over.signal)
      await recordOutcome(db, claimed, outcome, waitsSeconds)
      if (outcome.is === 'tried') count(outcome.tried.error === undefined ? 'delivered' : 'failed')
    } catch (error) {
      // Its lease ends by itself, and it is tried again.
      if (!over.signal.aborted) log.warn('a delivery will be tried again', { delivery: claimed.id, error })
    } finally {
      sending[kind].delete(claimed.lease)
      claiming.wake()
    }
  }
  const claiming = startLoop({
    pollMs,
    pauseAfterFailureMs: pollMs,
    onError: (error) => log.warn('deliveries will be looked at again', { error }),
    run: async () => {
      for (const kind of ['good', 'failing'] as const)
        for (const claimed of await claimDeliveries(db, atOnce[kind] - sending[kind].size, kind === 'failing'))
          sending[kind].set(claimed.lease, sendOne(claimed, kind))
    },
  })
  return {
    newsCame: making.wake,
    wake: claiming.wake,
    stop: async () => {
      await Promise.all([making.stop(), claiming.stop()])
      over.abort()
      await Promise.all([...sending.good.values(), ...sending.failing.values()])
    },
  }
}
