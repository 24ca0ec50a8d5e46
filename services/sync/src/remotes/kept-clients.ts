import type { RegistryClient } from '@berth/registry-client'
import type { Sealer } from '@berth/service'
import type { Remote } from '../db/generated/client.ts'
import type { HearAnswers } from '../observe/upstreams.ts'
import { openClient } from './open-remote.ts'

const idleMs = 30_000
// A client waits for the answer: so an upstream at its limit is not waited for until it lets requests in again, as in a sync.
const longestPauseMs = 3_000

/** Clients of remotes that are kept open for a while, so that what is asked often connects and logs in once. */
export type KeptClients = {
  use<T>(remote: Remote, work: (client: RegistryClient) => Promise<T>): Promise<T>
  close(): Promise<void>
}

type Held = { key: string; client: RegistryClient; users: number; timer: NodeJS.Timeout | undefined }

/** Keeps clients of remotes, made with their secrets opened by this sealer; `close` ends them all. `hear` hears what they are answered. */
export function keepClients(sealer: Sealer, hear?: HearAnswers): KeptClients {
  const held = new Map<string, Held>()
  const letGo = async (one: Held) => {
    if (held.get(one.key) === one) held.delete(one.key)
    await one.client.close()
  }
  const letGoIdle = (one: Held) => void letGo(one).catch(() => 'its connections are gone with it')
  return {
    use: async (remote, work) => {
      // A remote that was changed gets a client of its own; the old one ends with its last user.
      const key = `${remote.id} ${remote.updatedAt.getTime()}`
      const one = held.get(key) ?? {
        key,
        client: openClient(remote, sealer, { longestPauseMs, onAnswer: hear?.(remote) }),
        users: 0,
        timer: undefined,
      }
      held.set(key, one)
      clearTimeout(one.timer)
      one.users++
      try {
        return await work(one.client)
      } finally {
        if (--one.users === 0) one.timer = setTimeout(() => letGoIdle(one), idleMs).unref()
      }
    },
    close: async () => {
      const all = [...held.values()]
      for (const { timer } of all) clearTimeout(timer)
      await Promise.all(all.map(letGo))
    },
  }
}
