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

/** What each service answers to the others. */
type ServiceCommands = {
  auth: AuthCommands & EventCommands & DeadLetterCommands
  catalog: CatalogCommands & OperationCommands & EventCommands & DeadLetterCommands
  registry: RegistryCommands & EventCommands & DeadLetterCommands
  sync: SyncCommands & OperationCommands & EventCommands & DeadLetterCommands
  tasks: TasksCommands & EventCommands & DeadLetterCommands
}

/** A service that others ask. */
export type PeerName = keyof ServiceCommands

/** The clients of the services that this one asks, by name. */
export type Peers<P extends PeerName> = { readonly [K in P]: CommandClient<ServiceCommands[K]> }
