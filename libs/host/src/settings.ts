import type { KeyObject } from 'node:crypto'
import { isNatsSeed } from '@berth/bus'
import {
  auditCountSettings,
  type ConfigOf,
  callSettings,
  databaseSettings,
  deadLetterSettings,
  flag,
  integer,
  internalTlsSettings,
  logSettings,
  type OriginSettings,
  originSettings,
  parsed,
  restoredSettings,
  type ServicePublicKeys,
  type Setting,
  servicePrivateKey,
  servicePublicKeys,
  text,
  url,
} from '@berth/service'
import type { PeerName } from './peers.ts'

// Where each service listens for the others unless it is told otherwise.
const internalPorts = { registry: 9101, catalog: 9102, sync: 9103, tasks: 9104, build: 9105, auth: 9106 }
export type ServiceName = keyof typeof internalPorts

type UrlName<P extends PeerName> = `${P}Url`

/** How a service logs in to NATS, unless by its URL; the standalone stack reads this too. */
export const natsSettings = {
  natsSeed: parsed<string | undefined>(
    'BERTH_NATS_SEED',
    'the seed of a user of NATS (SU…), as nk -gen user makes it',
    (seed) => (isNatsSeed(seed) ? seed : undefined),
    { fallback: undefined, secret: true },
  ),
}

/** What a service that asks `peers` reads from the environment, besides what is its own. */
export function hostSettings<P extends PeerName>(name: ServiceName, peers: readonly P[]) {
  return {
    ...databaseSettings,
    natsUrl: url('BERTH_NATS_URL', ['nats']),
    ...natsSettings,
    migrate: flag('BERTH_MIGRATE', { fallback: true }),
    port: integer('BERTH_PORT', { min: 0, max: 65_535 }, { fallback: 8080 }),
    host: text('BERTH_HOST', { fallback: '0.0.0.0' }),
    internalPort: integer('BERTH_INTERNAL_PORT', { min: 0, max: 65_535 }, { fallback: internalPorts[name] }),
    internalHost: text('BERTH_INTERNAL_HOST', { fallback: '127.0.0.1' }),
    servicePrivateKey: servicePrivateKey('BERTH_SERVICE_PRIVATE_KEY'),
    servicePublicKeys: servicePublicKeys('BERTH_SERVICE_PUBLIC_KEYS', Object.keys(internalPorts)),
    ...peerSettings(peers),
    ...internalTlsSettings,
    ...callSettings,
    ...auditCountSettings,
    ...deadLetterSettings,
    ...originSettings,
    ...logSettings,
    ...restoredSettings,
  }
}

function peerSettings<P extends PeerName>(peers: readonly P[]): Record<UrlName<P>, Setting<string>> {
  const settings = peers.map((peer) => [
    `${peer}Url`,
    url(`BERTH_${peer.toUpperCase()}_URL`, ['http', 'https'], { fallback: `http://127.0.0.1:${internalPorts[peer]}` }),
  ])
  return Object.fromEntries(settings) as Record<UrlName<P>, Setting<string>>
}

type Tuning = ConfigOf<
  typeof callSettings & typeof auditCountSettings & typeof deadLetterSettings & typeof restoredSettings
>

/** What the host of a service that asks `P` must be told; what is absent has the settings' own fallback. */
export type HostConfig<P extends PeerName> = {
  databaseUrl: string
  natsUrl: string
  natsSeed?: string | undefined
  /** Whether it brings its schema up to date itself, as it does unless set; else it waits until that is done. */
  migrate?: boolean
  servicePrivateKey: KeyObject
  servicePublicKeys: ServicePublicKeys
} & {
  [K in UrlName<P>]: string
} & OriginSettings &
  Partial<Tuning>
