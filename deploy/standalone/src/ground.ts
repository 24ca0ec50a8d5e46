import type { RequestListener } from 'node:http'
import type { Lifecycle, Logger, Metrics, Observed } from '@berth/service'
import type { StandaloneConfig } from './config.ts'
import type { ServiceName } from './routes.ts'
import type { Secrets } from './secrets.ts'

/** What the services run on, however they run. */
export type Ground = {
  config: StandaloneConfig
  secrets: Secrets
  databaseUrl: string
  natsUrl: string
  /** The seed by which a service logs in there, unless the URL has the login of all. */
  natsSeedOf: (name: ServiceName) => string | undefined
  home: string
  log: Logger
  metrics: Metrics
  life: Lifecycle
}
/** The services as the front sees them. */
export type Running = {
  services: Observed[]
  listenerOf: (service: ServiceName) => RequestListener | undefined
  firstPassword: string | undefined
}
