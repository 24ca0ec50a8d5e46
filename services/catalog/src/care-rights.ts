import { decide } from '@berth/access'
import type { AuthCommands, ClaimedTask, CommandClient } from '@berth/commands'
import { isPassing, Problem } from '@berth/service'

/** Throws 403 `forbidden` where whoever started a task of the store may have it no more. */
export type RequireRights = (signal: AbortSignal) => Promise<void>

const lookAgainMs = 1_000

/**
 * Whoever started a task that takes care of the store must have the right to it when it begins and before it takes something away, not
 * only when it was asked for. What Berth does by itself needs none.
 */
export function careRights(auth: CommandClient<AuthCommands>, { actor }: Pick<ClaimedTask, 'actor'>): RequireRights {
  const { id: accountId, name } = actor
  return async (signal) => {
    if (accountId === null) return
    const { principal } = await auth.call('principal-of', { accountId }, { signal })
    if (principal && decide(principal.rights, 'administer', { kind: 'settings', name: '' }).allowed) return
    throw new Problem(
      403,
      'forbidden',
      `${name}, who started this, may not do it any more: that needs "administer" on everything.`,
      { hint: 'Give the right back, or have it started by another one.' },
    )
  }
}

/** The same for work of hours or weeks, which asks again and again: once a second at most. That auth does not answer ends it not. */
export function nowAndThen(require: RequireRights): RequireRights {
  let askedAt = Number.NEGATIVE_INFINITY
  return async (signal) => {
    if (performance.now() - askedAt < lookAgainMs) return
    askedAt = performance.now()
    await require(signal).catch((error: unknown) => {
      signal.throwIfAborted()
      if (!isPassing(error)) throw error
    })
  }
}
