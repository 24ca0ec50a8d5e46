import type { KeyObject } from 'node:crypto'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { type BlobStore, BlobStoreError } from '@berth/blobs'
import type { CatalogCommands, CommandClient, SyncCommands } from '@berth/commands'
import { type Digest, OciError, parseRoute, type Route } from '@berth/oci'
import {
  type Database,
  type Denial,
  isForged,
  type Logger,
  type Metrics,
  Problem,
  reasonOf,
  requestIdOf,
} from '@berth/service'
import { type Access, formatScope, loginIn } from '@berth/tokens'
import { currentTraceId, noteRoute } from '@berth/tracing'
import type { Action, Gatekeeper } from '../access/authorize.ts'
import type { SeeAs } from '../access/rights.ts'
import { sendCatalog, sendReferrers, sendTags } from '../discovery/lists.ts'
import { sendSignatures } from '../discovery/signatures.ts'
import { type Exchange, type NamedExchange, sendJson } from '../exchange/exchange.ts'
import type { Follower } from '../model/follow.ts'
import { listReferrers } from '../model/lists.ts'
import type { Lookup } from '../model/lookup.ts'
import type { LatelyServed, Pointer } from '../model/pointer.ts'
import { createSchema1Converter } from '../pull/convert-to-schema1.ts'
import { createSingleFinder } from '../pull/find-single.ts'
import { getBlob, headBlob } from '../pull/get-blob.ts'
import { getManifest } from '../pull/get-manifest.ts'
import type { LastPulls } from '../pull/last-pulls.ts'
import type { ListedPulls } from '../pull/listed-pulls.ts'
import { createManifestBytes } from '../pull/manifest-bytes.ts'
import { countProxied } from '../pull-through/count-proxied.ts'
import { createFreshSource } from '../pull-through/ensure-fresh.ts'
import { upstreamTrouble } from '../pull-through/upstream-trouble.ts'
import { deleteBlob, deleteManifest } from '../push/delete.ts'
import { finishUpload } from '../push/finish-upload.ts'
import type { Generations } from '../push/generations.ts'
import { createBeginCheck } from '../push/may-begin.ts'
import { createMountFinder } from '../push/mount.ts'
import type { PushedBlobs } from '../push/pushed-blobs.ts'
import { putManifest } from '../push/put-manifest.ts'
import { putSignature } from '../push/put-signature.ts'
import type { UploadDeps } from '../push/session-answers.ts'
import type { Sessions } from '../push/sessions.ts'
import { appendUpload, cancelUpload, showUpload, startUpload } from '../push/upload.ts'
import { type Asked, countDenied } from './count-denied.ts'
import { createPullCounter } from './count-pulled.ts'
import { sendError, toOciError } from './error-response.ts'
import { answerAtRoot } from './root.ts'
import { routePaths } from './route-paths.ts'
import { checkServed, enter, namesOf, once, type Place, placeOf } from './target.ts'

export type GatewayDeps = {
  db: Database
  blobs: BlobStore
  catalog: CommandClient<CatalogCommands>
  sync: CommandClient<SyncCommands>
  follower: Follower
  lookup: Lookup
  pushed: PushedBlobs
  generations: Generations
  sessions: Sessions
  readPointer: (basePath: string) => Promise<Pointer | undefined>
  lately: LatelyServed
  gatekeeper: Gatekeeper
  seeAs: SeeAs
  externalUrl: string | undefined
  schema1Key: () => Promise<KeyObject>
  pulls: LastPulls
  listedPulls: ListedPulls
  denied: (denial: Denial) => void
  log: Logger
  metrics: Metrics
}

type NamedRoute = Exclude<Route, { kind: 'ping' | 'catalog' }>
/** What a verb needs to be allowed, what else it asks after (else the same), and what it does. */
type Verb<R extends NamedRoute> = {
  actions: Action[]
  wanted?: Action[]
  run: (exchange: NamedExchange, route: R) => Promise<void>
}
type Verbs = { [K in NamedRoute['kind']]: Partial<Record<string, Verb<Extract<NamedRoute, { kind: K }>>>> }

const pull: Action[] = ['pull']
const push: Action[] = ['pull', 'push']
const remove: Action[] = ['delete']

/** Every verb of `/v2` on a name, with the right it takes (docs/protocol.md#challenges). */
function verbTable(deps: GatewayDeps): Verbs {
  const readBytes = createManifestBytes(deps.blobs)
  const findSingle = createSingleFinder(deps.lookup, readBytes)
  const count = countProxied(deps.metrics)
  const hasReferrers = async (pointer: Pointer, subject: Digest) =>
    (await listReferrers(deps.db, pointer, subject, { artifactType: null, after: '', limit: 1 })).referrers.length > 0
  const fresh = createFreshSource({ ...deps, hasReferrers, count })
  const toSchema1 = createSchema1Converter({ ...deps, readBytes, findSingle }, deps.schema1Key)
  const uploads: UploadDeps = {
    ...deps,
    mayBegin: createBeginCheck(),
    findMount: createMountFinder(deps),
  }
  const manifest: Verb<Extract<Route, { kind: 'manifest' }>> = {
    actions: pull,
    run: (exchange, route) => getManifest(exchange, route, { ...deps, readBytes, findSingle, toSchema1, fresh }),
  }
  const status: Verb<Extract<Route, { kind: 'upload' }>> = {
    actions: push,
    run: (exchange, { session }) => showUpload(exchange, session, uploads),
  }
  const tags: Verb<Extract<Route, { kind: 'tags' }>> = {
    actions: pull,
    run: (exchange) => sendTags(exchange, deps.db),
  }
  const referrers: Verb<Extract<Route, { kind: 'referrers' }>> = {
    actions: pull,
    run: (exchange, { digest }) => sendReferrers(exchange, digest, { db: deps.db, fresh }),
  }
  const signatures: Verb<Extract<Route, { kind: 'signatures' }>> = {
    actions: pull,
    run: (exchange, { digest }) => sendSignatures(exchange, digest, deps.db),
  }
  return {
    manifest: {
      GET: manifest,
      HEAD: manifest,
      PUT: { actions: push, run: (exchange, route) => putManifest(exchange, route, deps) },
      DELETE: { actions: remove, run: (exchange, route) => deleteManifest(exchange, route, deps) },
    },
    blob: {
      // Whether the caller may also push decides whether it sees what was pushed and is in no manifest yet, and whether our yes to
      // a HEAD keeps the blob for its manifest.
      GET: {
        actions: pull,
        wanted: push,
        run: (exchange, { digest }) => getBlob(exchange, digest, { ...deps, count }),
      },
      HEAD: {
        actions: pull,
        wanted: push,
        run: (exchange, { digest }) => headBlob(exchange, digest, { ...deps, count }),
      },
      DELETE: { actions: remove, run: (exchange, { digest }) => deleteBlob(exchange, digest, deps) },
    },
    uploads: { POST: { actions: push, run: (exchange) => startUpload(exchange, uploads) } },
    upload: {
      GET: status,
      HEAD: status,
      PATCH: { actions: push, run: (exchange, { session }) => appendUpload(exchange, session, uploads) },
      PUT: { actions: push, run: (exchange, { session }) => finishUpload(exchange, session, uploads) },
      DELETE: { actions: push, run: (exchange, { session }) => cancelUpload(exchange, session, uploads) },
    },
    tags: { GET: tags, HEAD: tags },
    referrers: { GET: referrers, HEAD: referrers },
    signatures: {
      GET: signatures,
      HEAD: signatures,
      PUT: { actions: push, run: (exchange, { digest }) => putSignature(exchange, digest, deps) },
    },
  }
}

// Clients look at the answer to their ping, also when it is a challenge (containers/image).
const abilities = { 'x-registry-supports-signatures': '1' }
const clientLeft = new Error('the client has left')
const writes = new Set(['PUT', 'POST', 'PATCH', 'DELETE'])

/**
 * Answers everything under `/v2`. In front of Express on plain node:http: routing goes from the right end of the path, bodies
 * are never parsed, and a pull costs as little as it can.
 */
export function createGateway(deps: GatewayDeps): RequestListener {
  const { lately } = deps
  const verbs = verbTable(deps)
  const { gatekeeper, log, metrics } = deps
  const countPulled = createPullCounter(metrics)

  return (request, response) => {
    const startedAt = performance.now()
    const requestEnded = metrics.requestBegins('registry')
    const requestId = requestIdOf(request)
    const traceId = currentTraceId()
    const gone = new AbortController()
    let kind = 'none'
    let failure: OciError | undefined
    let asked: Asked | undefined
    response.on('close', () => {
      // With a reason made beforehand: node's own would be made, with its stack, for every request.
      if (!response.writableFinished) gone.abort(clientLeft)
      const seconds = (performance.now() - startedAt) / 1000
      requestEnded({ route: kind, method: request.method ?? '', code: response.statusCode, seconds })
      countPulled(kind, request, response)
      logRequest(log, { request, response, requestId, traceId, seconds, failure })
    })
    const [path = '', search = ''] = (request.url ?? '').split('?', 2)
    const run = async () => {
      // Part of no name, digest or number, and PostgreSQL takes it in no text: for every verb in one place.
      if (search.includes('%00'))
        throw new OciError('UNSUPPORTED', 'a parameter holds U+0000; leave it out', { status: 400 })
      if (isForged(request, deps.externalUrl))
        throw new OciError('DENIED', 'a page of another site may change nothing here', { status: 403 })
      const route = parseRoute(path)
      if (!route) throw new OciError('UNSUPPORTED', 'there is nothing under this path', { status: 404 })
      kind = route.kind
      if (traceId) noteRoute(request.method ?? '', routePaths[route.kind])
      const base = { request, response, query: new URLSearchParams(search), requestId, signal: gone.signal }
      await answer(route, base, (known) => {
        asked = known
      })
    }
    run().catch((error: unknown) => {
      // It left in the middle of an answer, and writing to it failed before its end was heard.
      if (error instanceof BlobStoreError && error.code === 'reader_left') return
      failure = toOciError(error)
      if (asked) countDenied(deps.denied, { request, requestId, failure }, asked)
      if (response.writableEnded) {
        log.warn('work after an answer failed', { requestId, error })
        return
      }
      if (!gone.signal.aborted || !response.headersSent) sendError({ request, response, requestId }, failure)
    })
  }

  async function answer(route: Route, base: Omit<Exchange, 'caller'>, onAsked: (asked: Asked) => void): Promise<void> {
    const { request } = base
    if (route.kind === 'ping' || route.kind === 'catalog') return answerUnnamed(route.kind, base)
    const verb = (verbs[route.kind] as Partial<Record<string, Verb<NamedRoute>>>)[request.method ?? '']
    const actions = verb?.actions ?? pull
    const isWrite = writes.has(request.method ?? '')
    const naming = { repository: route.repository, namespace: base.query.get('ns'), isWrite }
    const names = await namesOf(deps.db, naming)
    // By the name that was asked for: no caller is told which distribution another registry would be found under.
    const scope = formatScope({ type: 'repository', name: route.repository, actions })
    const caller = await gatekeeper.identify(request, wantedAccess(names, verb?.wanted ?? actions, base.query), scope)
    onAsked({ caller, repository: route.repository, actions })
    const plain = placeOf(deps, route.repository)
    const runAt = ({ basePath, pointer, pullThrough }: Place, { run }: Verb<NamedRoute>) => {
      const served = once(async () => {
        const found = await checkServed(deps.follower, basePath, { pointer, pullThrough }, isWrite)
        if (isWrite) gatekeeper.requireChange(request, caller, basePath, actions, found)
        return found
      })
      const servedLately = once(async () => {
        const known = lately.get(basePath)
        if (!known) {
          const found = await served()
          if (found) lately.set(basePath, found)
          return found
        }
        const found = await checkServed(deps.follower, basePath, { pointer: async () => known, pullThrough }, isWrite)
        if (isWrite) gatekeeper.requireChange(request, caller, basePath, actions, found)
        return found
      })
      return run({ ...base, caller, basePath, served, servedLately, pullThrough }, route)
    }
    if (verb?.actions === pull) {
      const reading = { ...base, kind: route.kind, naming, caller }
      if (await answerAtRoot(deps, reading, plain, (place) => runAt(place, verb))) return
    }
    const target = await enter(deps, gatekeeper, { request, caller, actions }, { names, naming, plain })
    if (!verb) throw new OciError('UNSUPPORTED', `${request.method} is not possible here`)
    // Only now: that there is such a distribution is not said to a caller that may not pull from it.
    if (target.namespace !== undefined) base.response.setHeader('oci-namespace', target.namespace)
    continueBody(request, base.response)
    await runAt(target.place, verb)
  }

  async function answerUnnamed(kind: 'ping' | 'catalog', base: Omit<Exchange, 'caller'>): Promise<void> {
    const { request } = base
    const wanted = kind === 'catalog' ? [wholeCatalog] : []
    const scope = kind === 'catalog' ? formatScope(wholeCatalog) : undefined
    const caller = await gatekeeper.identify(request, wanted, scope)
    // Always a challenge to callers without credentials: from it clients learn where to log in (docs/protocol.md#challenges).
    if (loginIn(request.headers.authorization) === undefined) {
      throw new OciError('UNAUTHORIZED', 'log in, or ask for an anonymous token', {
        headers: { ...gatekeeper.challenge(request, { scope }), ...abilities },
      })
    }
    if (request.method !== 'GET' && request.method !== 'HEAD')
      throw new OciError('UNSUPPORTED', `${request.method} is not possible here`)
    if (kind === 'catalog') {
      // A list is worth a wait for auth, but not one as long as for a login.
      await sendCatalog({ ...base, caller }, deps.db, await deps.seeAs(caller, listPatienceMs))
    } else sendJson(base, 200, {}, abilities)
  }
}

/** The right to list names, as it is asked for; which names that are is another question. */
const wholeCatalog: Access = { type: 'registry', name: 'catalog', actions: ['*'] }
const listPatienceMs = 2_000

/** What the request needs: the verb's right on its name, and to mount a blob also to pull where it comes from. */
function wantedAccess(names: readonly string[], actions: string[], query: URLSearchParams): Access[] {
  const own = names.map((name) => ({ type: 'repository', name, actions }))
  const from = query.has('mount') ? query.get('from') : null
  return from === null ? own : [...own, { type: 'repository', name: from, actions: ['pull'] }]
}

/** Says "go on" to a client that waits with its body, now that it was let in (RFC 9110 §10.1.1). */
function continueBody(request: IncomingMessage, response: ServerResponse): void {
  if (request.headers.expect !== undefined) response.writeContinue()
}

function logRequest(
  log: Logger,
  entry: {
    request: IncomingMessage
    response: ServerResponse
    requestId: string
    traceId: string | undefined
    seconds: number
    failure: OciError | undefined
  },
): void {
  const { request, response, requestId, traceId, seconds, failure } = entry
  const fields = {
    method: request.method,
    path: request.url?.split('?', 1)[0],
    status: response.statusCode,
    durationMs: Math.round(seconds * 1000),
    requestId,
    ...(traceId && { traceId }),
  }
  const trouble = upstreamTrouble(failure?.cause)
  if (failure && failure.status >= 500 && trouble)
    log.warn('upstream failed a registry request', { ...fields, ...trouble })
  else if (failure?.status === 503 && failure.cause instanceof Problem)
    log.warn('registry request refused for now', { ...fields, ...reasonOf(failure.cause) })
  else if (failure && failure.status >= 500) log.error('registry request failed', { ...fields, error: failure })
  // Pulls of manifests come by the ten thousand a second; one line each would cost more than the answer.
  else if (failure || request.method !== 'GET')
    log.info('registry request', { ...fields, ...(failure ? { code: failure.code, reason: failure.message } : {}) })
  else log.debug('registry request', fields)
}
