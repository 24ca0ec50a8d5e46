import type { CommandClient, SyncCommands } from '@berth/commands'
import { type Digest, OciError } from '@berth/oci'
import { type Logger, Problem } from '@berth/service'
import { LRUCache } from 'lru-cache'
import type { Caller } from '../access/authorize.ts'
import type { NamedExchange } from '../exchange/exchange.ts'
import type { Lookup } from '../model/lookup.ts'
import type { Pointer } from '../model/pointer.ts'
import type { PullThrough } from '../model/pull-through.ts'
import type { ProxyResult } from './count-proxied.ts'
import { upstreamTrouble } from './upstream-trouble.ts'

type Reference = { tag?: string | undefined; digest?: Digest | undefined }

/**
 * Makes sure that what is about to be served of a host is there and, of a tag, as upstream last said within the time that the
 * distribution allows. Answers the pointer to serve from, and why what is there may be old, if so.
 */
export type FreshSource = {
  reference(exchange: NamedExchange, reference: Reference): Promise<Fresh>
  /** As `reference`, of the list of what refers to a manifest. Where it was never seen, throws what upstream says. */
  referrers(exchange: NamedExchange, subject: Digest): Promise<Fresh>
}
type Fresh = { pointer: Pointer | undefined; staleness?: string }

type Deps = {
  sync: CommandClient<SyncCommands>
  lookup: Lookup
  readPointer: (basePath: string) => Promise<Pointer | undefined>
  hasReferrers: (pointer: Pointer, subject: Digest) => Promise<boolean>
  log: Logger
  count: (result: ProxyResult) => void
}

const rememberedBytes = 32 << 20
// What an entry takes beside its texts.
const entryBytes = 200
// A pull of what is here never waits longer for upstream (docs/guarantees.md, S4).
const stalePatienceMs = 2_000
const firstPatienceMs = 120_000
const failurePauseMs = 10_000

/**
 * What is known of a tag or a list until then: that it is as upstream said, or why it may be old. `wasSeen`: upstream said it
 * once.
 */
type Judged = { until: number; staleness?: string; wasSeen?: boolean }
/** What upstream is asked for. */
type Wanted = { reference: string } | { referrersOf: Digest }

/** Makes the one of this replica: it remembers by itself when each tag and list was last compared with upstream. */
export function createFreshSource({ sync, lookup, readPointer, hasReferrers, log, count }: Deps): FreshSource {
  /** Of tags and lists that this replica compared with upstream, or could not. */
  const judged = new LRUCache<string, Judged>({
    maxSize: rememberedBytes,
    sizeCalculation: ({ staleness: why = '' }, key) => entryBytes + key.length + why.length,
  })
  const running = new Map<string, Promise<{ changed: boolean }>>()

  const keyOf = ({ basePath }: NamedExchange, pullThrough: PullThrough, wanted: Wanted) =>
    `${pullThrough.id} ${basePath} ${'reference' in wanted ? wanted.reference : `referrers ${wanted.referrersOf}`}`

  const fetchOnce = (exchange: NamedExchange, pullThrough: PullThrough, wanted: Wanted) => {
    const key = keyOf(exchange, pullThrough, wanted)
    const known = running.get(key)
    if (known) return known
    const request = {
      via: pullThrough.id,
      remoteId: pullThrough.remoteId,
      host: pullThrough.host,
      upstreamName: exchange.basePath.slice(pullThrough.basePath.length + 1),
      name: exchange.basePath,
      actor: exchange.caller.actor,
    }
    const options = { requestId: exchange.requestId, timeoutMs: firstPatienceMs }
    const asked =
      'reference' in wanted
        ? sync.call('pull-through', { ...request, reference: wanted.reference }, options)
        : sync.call('pull-through-referrers', { ...request, digest: wanted.referrersOf }, options)
    const fetching = asked
      .then(({ changed }) => {
        judged.set(key, { until: performance.now() + pullThrough.ttlSeconds * 1_000, wasSeen: true })
        return { changed }
      })
      .finally(() => running.delete(key))
    // A request that waits hears of it; that none does any more is no failure.
    fetching.catch(() => {})
    running.set(key, fetching)
    return fetching
  }

  const refresh = async (
    exchange: NamedExchange,
    pointer: Pointer | undefined,
    pullThrough: PullThrough,
    wanted: Wanted,
  ): Promise<Fresh> => {
    const key = keyOf(exchange, pullThrough, wanted)
    const known = judged.get(key)
    if (known && performance.now() < known.until) {
      count(known.staleness === undefined ? 'hit' : 'stale')
      return { pointer, ...staleness(known.staleness) }
    }
    // It helps no client when each pull waits for an upstream that is down.
    const stale = (why: string) => {
      judged.set(key, { until: performance.now() + failurePauseMs, staleness: why, wasSeen: known?.wasSeen ?? false })
      count('stale')
      return { pointer, staleness: why }
    }
    try {
      const outcome = await within(stalePatienceMs, fetchOnce(exchange, pullThrough, wanted))
      if (outcome === 'late') return stale(`110 - "${pullThrough.host} has not answered yet"`)
      count(outcome.changed ? 'miss' : 'hit')
      // Also where nothing was changed for this pull: another one may have fetched it since the pointer was read.
      return { pointer: await readPointer(exchange.basePath) }
    } catch (error) {
      if (isAbsence(error)) {
        count('miss')
        throw error
      }
      log.warn('what is pulled through is served as it was', {
        name: exchange.basePath,
        ...wanted,
        host: pullThrough.host,
        ...(upstreamTrouble(error) ?? { error }),
      })
      return stale(`111 - "${pullThrough.host} cannot be asked whether this is its latest"`)
    }
  }

  const reference: FreshSource['reference'] = async (exchange, reference) => {
    const pointer = await exchange.served()
    const pullThrough = pointer ? pointer.pullThrough : await exchange.pullThrough()
    if (!pullThrough) return { pointer }
    const { tag, digest } = reference
    const stored = pointer && (digest ? await lookup.manifest(pointer, digest) : await lookup.tag(pointer, tag ?? ''))
    // What is under a digest never changes (docs/guarantees.md, S6).
    if (stored && (digest || !mayTrigger(exchange.caller, pullThrough))) {
      count('hit')
      return { pointer }
    }
    if (!mayTrigger(exchange.caller, pullThrough)) throw notHere(exchange, digest ?? tag ?? '', pullThrough)
    const wanted = { reference: digest ?? tag ?? '' }
    try {
      return await (stored ? refresh(exchange, pointer, pullThrough, wanted) : first(exchange, pullThrough, wanted))
    } catch (error) {
      throw isAbsence(error) ? unknownManifest(exchange, wanted.reference, error) : error
    }
  }

  const first = async (exchange: NamedExchange, pullThrough: PullThrough, wanted: Wanted): Promise<Fresh> => {
    try {
      await fetchOnce(exchange, pullThrough, wanted)
      count('miss')
    } catch (error) {
      count(isAbsence(error) ? 'miss' : 'error')
      throw error
    }
    return { pointer: await readPointer(exchange.basePath) }
  }

  const referrers: FreshSource['referrers'] = async (exchange, subject) => {
    const pointer = await exchange.served()
    const pullThrough = pointer ? pointer.pullThrough : await exchange.pullThrough()
    if (!pullThrough) return { pointer }
    if (!mayTrigger(exchange.caller, pullThrough)) {
      count('hit')
      return { pointer }
    }
    const wanted = { referrersOf: subject }
    // An empty list is no word on what upstream has, unless upstream once said so.
    const wasSeen = judged.get(keyOf(exchange, pullThrough, wanted))?.wasSeen ?? false
    const isHere = wasSeen || (pointer !== undefined && (await hasReferrers(pointer, subject)))
    return isHere ? refresh(exchange, pointer, pullThrough, wanted) : first(exchange, pullThrough, wanted)
  }

  return { reference, referrers }
}

function staleness(why: string | undefined): { staleness?: string } {
  return why === undefined ? {} : { staleness: why }
}

function mayTrigger({ actor }: Caller, { trigger }: PullThrough): boolean {
  if (trigger === 'anonymous') return true
  if (actor.id === null) return false
  return trigger === 'users' || trigger.some(({ id }) => id === actor.id)
}

/** The host was not asked, so this says nothing of what it has. */
function notHere({ basePath, caller }: NamedExchange, reference: string, { host }: PullThrough): OciError {
  const remedy = caller.actor.id === null ? 'log in' : 'ask an administrator'
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
