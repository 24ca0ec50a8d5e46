import { readFileSync } from 'node:fs'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { BlockList, type Socket } from 'node:net'
import { Counter, Gauge } from 'prom-client'
import { inertHeaders } from './browser-guard.ts'
import { isIn, listOf, thisMachine } from './client-address.ts'
import type { Metrics } from './metrics.ts'
import { networkOf } from './networks.ts'
import { Problem, problemBody, problemMediaType } from './problem.ts'
import { type ClientPace, followPace, type Patience, usualPatience } from './slow-client.ts'

/** How many connections a listener takes, and how long it waits for the clients behind them. */
export type ClientLimits = {
  mostConnections: number
  /** From one address of IPv4 or one /64 of IPv6. Proxies that are believed have no such limit. */
  mostOfOne: number
  patience: Patience
  lookEveryMs: number
}

type Connection = { network: string; pace: ClientPace; request?: IncomingMessage; refused: boolean }
type Reason = 'slow' | 'still' | 'refused'

// Some systems tell no limit; this is the one that most begin with.
const usualDescriptors = 1_024
// Of what a listener cannot take, so many more are let in to be told so; what comes beyond is cut at once.
const toldShare = 1.1
const toldWithinMs = 5_000

// Each that is half open takes some 40 KiB of memory, so descriptors alone are no measure where a process may have half a million.
const mostEver = 10_000

/** 80 % of the descriptors that this process may have, at most 10,000, and a quarter of that for one address. */
export function usualClientLimits(descriptors = descriptorLimit()): ClientLimits {
  const mostConnections = Math.min(Math.floor(descriptors * 0.8), mostEver)
  return { mostConnections, mostOfOne: Math.floor(mostConnections / 4), patience: usualPatience, lookEveryMs: 5_000 }
}

function descriptorLimit(): number {
  try {
    const found = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return found === undefined ? usualDescriptors : Number(found)
  } catch {
    // Only Linux has this file.
    return usualDescriptors
  }
}

/**
 * Keeps clients from taking all descriptors of the process: what is slow or still while Berth waits for it is cut, and what comes
 * above the limits is answered with 503. Metrics count both. Answers how to ask whether a request is to be refused.
 */
export function guardClients(
  server: Server,
  {
    limits,
    isEncrypted,
    trustedProxies = thisMachine,
    metrics,
  }: {
    limits: ClientLimits
    isEncrypted: boolean
    trustedProxies?: readonly string[] | undefined
    metrics?: Metrics | undefined
  },
): (request: IncomingMessage, response: ServerResponse) => boolean {
  const proxies = trustedProxies.length > 0 ? listOf(trustedProxies) : new BlockList()
  const open = new Map<Socket, Connection>()
  const byNetwork = new Map<string, number>()
  const count = countIn(metrics, () => open.size)

  const begin = (socket: Socket) => {
    const address = socket.remoteAddress ?? ''
    const network = isIn(proxies, address) ? '' : networkOf(address, 64)
    const ofOne = byNetwork.get(network) ?? 0
    const refused = open.size >= limits.mostConnections || (network !== '' && ofOne >= limits.mostOfOne)
    if (refused) count('refused')
    if (open.size >= limits.mostConnections * toldShare || (network !== '' && ofOne >= limits.mostOfOne * toldShare)) {
      socket.destroy()
      return
    }
    open.set(socket, { network, pace: followPace(limits.patience), refused })
    if (network !== '') byNetwork.set(network, ofOne + 1)
    const late = refused ? setTimeout(() => socket.destroy(), toldWithinMs) : undefined
    socket.once('close', () => {
      clearTimeout(late)
      open.delete(socket)
      const left = (byNetwork.get(network) ?? 0) - 1
      if (left > 0) byNetwork.set(network, left)
      else byNetwork.delete(network)
    })
  }
  const looking = setInterval(() => {
    const busy = open.size > limits.mostConnections / 2
    for (const [socket, { pace, request }] of open) {
      const reason = pace.look(socket, request, limits.lookEveryMs, busy)
      if (!reason) continue
      count(reason)
      socket.destroy()
    }
  }, limits.lookEveryMs)
  looking.unref()
  if (isEncrypted) {
    // A client that is about to agree on TLS holds a descriptor too, and cannot be told anything yet.
    let agreeing = 0
    server.on('connection', (socket: Socket) => {
      agreeing++
      if (open.size + agreeing > limits.mostConnections * toldShare) socket.destroy()
    })
    server.on('secureConnection', (socket: Socket) => {
      agreeing--
      begin(socket)
    })
    server.on('tlsClientError', () => void agreeing--)
  } else server.on('connection', begin)
  server.once('close', () => clearInterval(looking))

  return (request, response) => {
    const connection = open.get(request.socket)
    if (!connection?.refused) {
      if (connection) connection.request = request
      return false
    }
    refuse(response)
    return true
  }
}

function refuse(response: ServerResponse): void {
  const problem = new Problem(
    503,
    'too_many_connections',
    'There are too many connections, or too many from your address.',
    {
      hint: 'Close those that are not used, and try again in a few seconds.',
    },
  )
  response
    .writeHead(503, { ...inertHeaders, 'content-type': problemMediaType, 'retry-after': '5', connection: 'close' })
    .end(JSON.stringify(problemBody(problem)))
}

function countIn(metrics: Metrics | undefined, openNow: () => number): (reason: Reason) => void {
  if (!metrics) return () => {}
  const registers = [metrics.registry]
  const ended = new Counter({
    name: 'berth_connections_ended_total',
    help: 'Connections of clients that Berth ended: refused above a limit, slow, or still.',
    labelNames: ['reason'],
    registers,
  })
  const openConnections = new Gauge({
    name: 'berth_connections',
    help: 'Connections of clients that are open.',
    registers,
    collect() {
      this.set(openNow())
    },
  })
  openConnections.set(0)
  return (reason) => ended.inc({ reason })
}
