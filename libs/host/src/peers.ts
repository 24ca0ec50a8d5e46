import type { DeadLetterCommands, EventCommands } from '@berth/bus'
import type {
  AuthCommands,
  CatalogCommands,
  CommandClient,
  OperationCommands,
  RegistryCommands,
  SyncCommands,
  TasksCommands,
} from '@berth/commands'
import type { AuditCommands } from '@berth/service'

/** What each service answers to the others. */
type ServiceCommands = {
  build: EventCommands & DeadLetterCommands & AuditCommands
  auth: AuthCommands & EventCommands & DeadLetterCommands & AuditCommands
  catalog: CatalogCommands & OperationCommands & EventCommands & DeadLetterCommands & AuditCommands
  registry: RegistryCommands & EventCommands & DeadLetterCommands & AuditCommands
  sync: SyncCommands & OperationCommands & EventCommands & DeadLetterCommands & AuditCommands
  tasks: TasksCommands & EventCommands & DeadLetterCommands & AuditCommands
}

/** A service that others ask. */
export type PeerName = keyof ServiceCommands

/** The clients of the services that this one asks, by name. */
export type Peers<P extends PeerName> = { readonly [K in P]: CommandClient<ServiceCommands[K]> }
