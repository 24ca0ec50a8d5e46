import {
  type ConsumeOptions,
  type DeadLetterCommands,
  findDeadLetter,
  listDeadLetters,
  replayDeadLetter,
} from '@berth/bus'
import { type CommandHandlers, commandHandlers } from '@berth/commands'
import { type Database, type InternalHandler, Problem } from '@berth/service'

/** How each consumer of a service handles an event. */
export type Consumers = Map<string, ConsumeOptions['handle']>

/** Answers about the events that the consumers of a service have set aside. */
export function deadLetterCommands(db: Database, consumers: Consumers): Record<string, InternalHandler> {
  const handlers: CommandHandlers<DeadLetterCommands> = {
    'list-dead-letters': async (request) => ({ letters: await listDeadLetters(db, request) }),
    'find-dead-letter': async (request) => ({ letter: await findDeadLetter(db, request) }),
    'replay-dead-letter': async (request) => {
      const handle = consumers.get(request.consumer)
      if (!handle)
        throw new Problem(409, 'consumer_gone', `Nothing here reads events as "${request.consumer}" any more.`, {
          hint: 'It belongs to an earlier release, and is forgotten when its time is over.',
        })
      await replayDeadLetter(db, request, handle)
      return {}
    },
  }
  return commandHandlers(handlers)
}
