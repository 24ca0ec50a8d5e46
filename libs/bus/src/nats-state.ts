import { Gauge, type Logger, type Metrics, type Notes } from '@berth/service'

// The connections of this process that are away, by server: six services in one process are one piece of news.
const away = new Map<string, Set<object>>()

/** Notes whether a connection to a server is away. Says in the log when the first one goes, and when the last one is back. */
export function noteNats(host: string, connection: object, isAway: boolean, log: Logger): void {
  const gone = away.get(host) ?? new Set()
  away.set(host, gone)
  const before = gone.size
  if (isAway) gone.add(connection)
  else gone.delete(connection)
  if (before === 0 && gone.size > 0)
    log.warn('nats is away: pulls, pushes and tasks go on, events wait', { server: host })
  if (before > 0 && gone.size === 0) log.info('nats is back', { server: host })
}

// Said once of a process, whatever number of services it has.
let isSharedLoginSaid = false

/** Says in the log that the services have no users of their own. */
export function noteSharedLogin(log: Logger): void {
  if (isSharedLoginSaid) return
  isSharedLoginSaid = true
  log.warn('the services share one login of NATS, so that each may announce and read what is of the others', {
    remedy: 'give each service a user of its own: BERTH_NATS_SEED, docs/reference/settings.md',
  })
}

/** Forgets a connection that is closed on purpose. */
export function forgetNats(host: string, connection: object): void {
  away.get(host)?.delete(connection)
}

/** Whether any connection of this process is away. */
export function isAnyAway(): boolean {
  return [...away.values()].some((gone) => gone.size > 0)
}

/** What `/readyz` says of NATS: nothing while it is there. */
export function natsNotes(): Notes {
  return isAnyAway() ? { nats: 'away' } : {}
}

/** Counts it in the metrics of the process, once for all its services. */
export function measureNats({ registry }: Pick<Metrics, 'registry'>): void {
  const name = 'berth_nats_connected'
  if (registry.getSingleMetric(name)) return
  const connected = new Gauge({
    name,
    help: 'Whether every service of this process is connected to NATS (1), or events wait (0).',
    registers: [],
    collect() {
      this.set(isAnyAway() ? 0 : 1)
    },
  })
  registry.registerMetric(connected)
}
