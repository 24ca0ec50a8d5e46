import { type CommandClient, commandsOf, type TasksCommands } from '@berth/commands'
import { createInternalClient } from '@berth/service'
import { privateKeyOf } from '@berth/service/testing'

/** A client of a process of tasks, which takes it for a service that has tasks done. */
export function connect(baseUrl: string): { tasks: CommandClient<TasksCommands>; close(): Promise<void> } {
  const client = createInternalClient({ baseUrl, from: 'sync', to: 'tasks', privateKey: privateKeyOf('sync') })
  return { tasks: commandsOf<TasksCommands>(client), close: () => client.close() }
}
