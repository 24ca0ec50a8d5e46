import { randomBytes } from 'node:crypto'
import { eventSources, makeNatsUser } from '@berth/bus'
import { makeServicePrivateKey } from '@berth/service'

export const services = eventSources

// Readable in a URL and in a file of settings as it is.
const password = () => randomBytes(24).toString('base64url')

/** What an installation has to keep, by the name of its file. All of it is made by chance: what is lost cannot be had again. */
export const keys: ReadonlyMap<string, () => string> = new Map([
  ['secrets-key', () => randomBytes(32).toString('base64')],
  ['admin-password', password],
  ['database-password', password],
  // Of the servers of a cluster of NATS among themselves.
  ['nats-routes-password', password],
  ['metrics-token', () => randomBytes(32).toString('base64url')],
  ...services.map((service) => [`service-key-${service}`, makeServicePrivateKey] as const),
  // The reader is for subscribers of the operator.
  ...[...services, 'reader'].map((user) => [`nats-seed-${user}`, () => makeNatsUser().seed] as const),
])
