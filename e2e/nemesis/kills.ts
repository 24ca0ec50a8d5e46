import { setTimeout as pause } from 'node:timers/promises'
import { until } from '../berth/processes.ts'
import { childPid } from '../berth/replicas.ts'
import type { TestStack } from '../berth/stack.ts'
import type { History } from './history.ts'

const leastPauseMs = 2_000
const spreadMs = 4_000
const backWithinMs = 60_000

/** What is killed, and how often in comparison. The whole group is Berth with its PostgreSQL and NATS, as by a power cut. */
const targets = ['group', 'group', 'berth', 'postgres', 'nats-server'] as const

/** Kills one of these after the other, each some seconds after all is back, until the signal ends it. */
export async function killAtRandom(
  stack: TestStack,
  { history, random, signal }: { history: History; random: () => number; signal: AbortSignal },
): Promise<void> {
  for (;;) {
    await pause(leastPauseMs + random() * spreadMs, undefined, { signal }).catch(() => 'over')
    if (signal.aborted) return
    const target = targets[Math.floor(random() * targets.length)] as (typeof targets)[number]
    history.count(`kills of ${target}`)
    // Nothing but events needs NATS: with it away all goes on.
    const end = target === 'nats-server' ? () => {} : history.outage()
    try {
      await kill(stack, target)
      await until(`all is back after a kill of ${target}`, () => isBack(stack), backWithinMs)
    } finally {
      end()
    }
  }
}

async function kill(stack: TestStack, target: (typeof targets)[number]): Promise<void> {
  if (target === 'group') await stack.killGroup()
  else if (target === 'berth') await stack.kill('SIGKILL')
  else {
    const pid = childPid(stack, target)
    if (pid === undefined) return
    process.kill(pid, 'SIGKILL')
    // For a moment all seems to be there still, and must not be taken for the time after.
    await until(
      `another ${target} runs`,
      () => {
        const next = childPid(stack, target)
        return next !== undefined && next !== pid
      },
      backWithinMs,
    )
    return
  }
  await stack.restart()
}

async function isBack(stack: TestStack): Promise<boolean> {
  try {
    const [ready, repositories] = await Promise.all([fetch(`${stack.url}/readyz`), stack.api('GET', '/repositories')])
    return ready.status === 200 && repositories.status === 200
  } catch {
    // Berth does not listen yet.
    return false
  }
}
