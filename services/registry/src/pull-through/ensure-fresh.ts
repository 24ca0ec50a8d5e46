import type { CommandClient, SyncCommands } from '@berth/commands'
import { type Digest, OciError } from '@berth/oci'
import { type Logger, Problem } from '@berth/service'
import { LRUCache } from 'lru-cache'
import type { Caller } from '../access/authorize.ts'
import type { NamedExchange } from '../gateway/exchange.ts'
import type { Lookup } from '../model/lookup.ts'
import type { Pointer } from '../model/pointer.ts'
import type { PullThrough } from '../model/pull-through.ts'
import type { ProxyResult } from './count-proxied.ts'

export type Reference = { tag?: string | undefined; digest?: Digest | undefined }

/**
 * Makes sure that what is about to be served of a host is there and, of a tag, as upstream last said within the time that the
 * distribution allows. Answers the pointer to serve from, and why what is there may be old, if so.
 */
export type FreshSource = (
  exchange: NamedExchange,
  reference: Reference,
) => Promise<{ pointer: Pointer | undefined; staleness?: string }>

type Parts = {
  sync: CommandClient<SyncCommands>
  lookup: Lookup
  readPointer: (basePath: string) => Promise<Pointer | undefined>
  log: Logger
  count: (result: ProxyResult) => void
}

const remembered = 100_000
// A pull of what is here never waits longer for upstream (reliability.md S4).
const stalePatienceMs = 2_000
const firstPatienceMs = 120_000
const failurePauseMs = 10_000

/** What is known of a tag until then: that it is as upstream said, or why it may be old. */
type Judged = { until: number; staleness?: string }

/** Makes the one of this replica: it remembers by itself when each tag was last compared with upstream. */
export function createFreshSource({ sync, lookup, readPointer, log, count }: Parts): FreshSource {
  /** Of tags that this replica compared with upstream, or could not. */
  const judged = new LRUCache<string, Judged>({ max: remembered })
  const running = new Map<string, Promise<{ changed: boolean }>>()

  const bring = (exchange: NamedExchange, via: PullThrough, reference: string) => {
    const key = `${via.id} ${exchange.basePath} ${reference}`
    const known = running.get(key)
    if (known) return known
    const request = {
      via: via.id,
      remoteId: via.remoteId,
      host: via.host,
      upstreamName: exchange.basePath.slice(via.basePath.length + 1),
      name: exchange.basePath,
      reference,
      actor: exchange.caller.subject || 'anonymous',
    }
    const { requestId } = exchange
    const bringing = sync
      .call('pull-through', request, { requestId, timeoutMs: firstPatienceMs })
      .then((reply) => {
        judged.set(key, { until: performance.now() + via.ttlSeconds * 1_000 })
        return reply
      })
      .finally(() => running.delete(key))
    // Whoever waits hears of it; that nobody does any more is no failure.
    bringing.catch(() => {})
    running.set(key, bringing)
    return bringing
  }

  const refresh = async (exchange: NamedExchange, pointer: Pointer, via: PullThrough, tag: string) => {
    const key = `${via.id} ${exchange.basePath} ${tag}`
    const known = judged.get(key)
    if (known && performance.now() < known.until) {
      count(known.staleness === undefined ? 'hit' : 'stale')
      return { pointer, ...staleness(known.staleness) }
    }
    // Nobody is helped by each pull waiting for an upstream that is down.
    const stale = (why: string) => {
      judged.set(key, { until: performance.now() + failurePauseMs, staleness: why })
      count('stale')
      return { pointer, staleness: why }
    }
    try {
      const outcome = await within(stalePatienceMs, bring(exchange, via, tag))
      if (outcome === 'late') return stale(`110 - "${via.host} has not answered yet"`)
      count(outcome.changed ? 'miss' : 'hit')
      return { pointer: outcome.changed ? await readPointer(exchange.basePath) : pointer }
    } catch (error) {
      if (isAbsence(error)) {
        count('miss')
        throw unknownManifest(exchange, tag, error)
      }
      log.warn('a tag is served as it was', { name: exchange.basePath, tag, host: via.host, error })
      return stale(`111 - "${via.host} cannot be asked whether this is its latest"`)
    }
  }

  return async (exchange, reference) => {
    const pointer = await exchange.served()
    const via = pointer ? pointer.pullThrough : await exchange.host()
    if (!via) return { pointer }
    const { tag, digest } = reference
    const stored = pointer && (digest ? await lookup.manifest(pointer, digest) : await lookup.tag(pointer, tag ?? ''))
    // What is under a digest never changes (reliability.md S6).
    if (stored && (digest || !mayTrigger(exchange.caller, via))) {
      count('hit')
      return { pointer }
    }
    if (!mayTrigger(exchange.caller, via)) throw notHere(exchange, digest ?? tag ?? '', via)
    if (pointer && stored) return refresh(exchange, pointer, via, tag ?? '')
    try {
      await bring(exchange, via, digest ?? tag ?? '')
      count('miss')
    } catch (error) {
      count(isAbsence(error) ? 'miss' : 'error')
      throw isAbsence(error) ? unknownManifest(exchange, digest ?? tag ?? '', error) : error
    }
    return { pointer: await readPointer(exchange.basePath) }
  }
}

function staleness(why: string | undefined): { staleness?: string } {
  return why === undefined ? {} : { staleness: why }
}

function mayTrigger({ subject }: Caller, { trigger }: PullThrough): boolean {
  if (trigger === 'anonymous') return true
  return trigger === 'users' ? subject !== '' : trigger.includes(subject)
}

/** Nobody asked the host, so this is no word on what it has. */
function notHere({ basePath, caller }: NamedExchange, reference: string, { host }: PullThrough): OciError {
  const remedy = caller.subject === '' ? 'log in' : 'ask an administrator'
  return new OciError(
    'MANIFEST_UNKNOWN',
    `${basePath} has no ${reference} yet, and you may not have it fetched from ${host}; ${remedy}`,
  )
}

function isAbsence(error: unknown): boolean {
  return error instanceof Problem && error.code === 'manifest_not_found'
}

function unknownManifest({ basePath }: NamedExchange, reference: string, cause: unknown): OciError {
  const said = cause instanceof Error ? `: ${cause.message}` : ''
  return new OciError('MANIFEST_UNKNOWN', `${basePath} has no manifest ${reference}${said}`, { cause })
}

async function within<T>(ms: number, work: Promise<T>): Promise<T | 'late'> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
