import {
  createRegistryClient,
  createTokenCache,
  dial,
  lookUp,
  type RegistryClient,
  type RegistryClientOptions,
  shakeHands,
  UpstreamError,
  upstreamRepository,
} from '@berth/registry-client'
import type { Sealer } from '@berth/service'
import type { Remote } from '../../db/generated/client.ts'
import { clientOptionsOf } from '../open-remote.ts'
import { remedyFor } from './remedy.ts'

type CheckStep = { step: string; ok: boolean; ms: number; detail: string; remedy?: string }
export type CheckResult = { ok: boolean; steps: CheckStep[] }

// All of them together stay below the 15 s that a check may take.
const connectMs = 3_000
const answerMs = 4_000
const wholeMs = 14_000

/** Walks the way to a remote, step by step, and stops where it ends. Nothing of it is kept, and no token of before is used. */
export async function walkToRemote(remote: Remote, sealer: Sealer): Promise<CheckResult> {
  const options = clientOptionsOf(remote, sealer)
  const whole = AbortSignal.timeout(wholeMs)
  const client = createRegistryClient({
    ...options,
    isRare: true,
    retries: 0,
    longestPauseMs: 0,
    timeouts: { connectMs, headersMs: answerMs, idleMs: answerMs },
    tokens: createTokenCache(),
  })
  const steps: CheckStep[] = []
  try {
    for (const [step, go] of [...wayTo(options), ...asking(remote, client, options)]) {
      const startedAt = performance.now()
      const done = await take(step, go, AbortSignal.any([whole, AbortSignal.timeout(answerMs)]))
      steps.push({ ...done, ms: Math.round(performance.now() - startedAt) })
      if (!done.ok) break
    }
  } finally {
    await client.close()
  }
  return { ok: steps.every(({ ok }) => ok), steps }
}

type Step = readonly [step: string, go: (signal: AbortSignal) => Promise<string>]

async function take(step: string, go: Step[1], signal: AbortSignal): Promise<Omit<CheckStep, 'ms'>> {
  try {
    return { step, ok: true, detail: await go(signal) }
  } catch (error) {
    if (error instanceof UpstreamError)
      return { step, ok: false, detail: error.message, remedy: remedyFor(step, error) }
    if (!signal.aborted) throw error
    const late = new UpstreamError('timeout', 'there was no answer in time', { host: '', cause: error })
    return { step, ok: false, detail: late.message, remedy: remedyFor(step, late) }
  }
}

/** Name, connection and TLS; behind a proxy it is the proxy that we have these with. */
function wayTo({ url: text, proxy, tls = {}, allowPrivateAddresses = false }: RegistryClientOptions): Step[] {
  const url = proxy?.url ?? new URL(text)
  const who = proxy ? 'the proxy' : 'the registry'
  let addresses: string[] = []
  const connecting: Step[] = [
    [
      'dns',
      async (signal) => {
        addresses = await lookUp(url, allowPrivateAddresses, signal)
        return `${who} is at ${addresses.join(', ')}`
      },
    ],
    [
      'tcp',
      async (signal) => {
        const socket = await dial(url, addresses, signal)
        const { remoteAddress, remotePort } = socket
        socket.destroy()
        return `${who} takes connections at ${remoteAddress} port ${remotePort}`
      },
    ],
  ]
  if (proxy || url.protocol === 'http:') return connecting
  return [...connecting, ['tls', async (signal) => shakeHands(url, await dial(url, addresses, signal), tls, signal)]]
}

/** What the registry says to this login: of itself, and of the repository, where the remote names any. */
function asking(remote: Remote, client: RegistryClient, options: RegistryClientOptions): Step[] {
  const url = new URL(options.url)
  const login: Step = [
    'auth',
    async (signal) => {
      await client.ping(signal)
      return options.credentials ? 'the registry takes the login' : 'the registry answers without a login'
    },
  ]
  if (remote.upstreamName === null && remote.upstreamNames.length === 0) return [login]
  return [
    login,
    [
      'repository',
      async (signal) => {
        const [first = ''] = remote.upstreamNames
        const isPattern = /[*?[]/.test(first)
        const name = upstreamRepository(url, remote.upstreamName ?? first)
        const [names] = isPattern ? await firstPage(client.catalog(signal)) : await firstPage(client.tags(name, signal))
        const count = names === undefined ? 'nothing' : `${names.length} of them or more`
        return isPattern ? `its catalog lists ${count}` : `the tags of ${name} are listed: ${count}`
      },
    ],
  ]
}

async function firstPage(pages: AsyncIterable<string[]>): Promise<string[][]> {
  for await (const page of pages) return [page]
  return []
}
