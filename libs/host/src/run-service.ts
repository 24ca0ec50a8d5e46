import {
  type ConfigOf,
  createLogger,
  createMetrics,
  openInternalTls,
  readConfig,
  runAlone,
  type Service,
  type ServiceParts,
  withDatabasePassword,
} from '@berth/service'
import { requireAddresses } from './require-addresses.ts'
import type { hostSettings, ServiceName } from './settings.ts'

type Shape = ReturnType<typeof hostSettings<never>>

/** Runs a service as a process of its own until SIGTERM or SIGINT: reads its settings, makes it, and listens for it. */
export async function runService<S extends Shape>(
  name: ServiceName,
  settings: S,
  create: (config: ConfigOf<S>, parts: ServiceParts) => Service | Promise<Service>,
): Promise<void> {
  await runAlone(async () => {
    const read = readConfig(settings, process.env)
    const config = withDatabasePassword(read as ConfigOf<Shape>) as ConfigOf<S>
    const { port, host, internalPort, internalHost, logLevel, logOutput } = config as ConfigOf<Shape>
    const log = createLogger({ service: name, level: logLevel, output: logOutput })
    const metrics = createMetrics({ defaults: true })
    const internalTls = await openInternalTls(config as ConfigOf<Shape>, log)
    requireAddresses(settings, config, internalTls !== undefined)
    const service = await create(config, { log, metrics, internalTls })
    return { service, log, metrics, port, host, internalPort, internalHost, internalTls }
  })
}
