import {
  type ConsumeOptions,
  type DeadLetterCommands,
  findDeadLetter,
  listDeadLetters,
  replayDeadLetter,
} from '@berth/bus'
import { type CommandClient, type CommandHandlers, commandHandlers } from '@berth/commands'
import { type Database, type InternalHandler, Problem } from '@berth/service'

/** How each consumer of a service handles an event. */
export type Consumers = Map<string, Pick<ConsumeOptions, 'handle' | 'prepare'>>

type Handlers = {
  [K in keyof DeadLetterCommands]: (
    request: DeadLetterCommands[K]['request'],
  ) => Promise<DeadLetterCommands[K]['reply']>
}
/** Asks a service for the events that it has set aside. */
export type DeadLetters = Pick<CommandClient<DeadLetterCommands>, 'call'>

/** Answers about the events that the consumers of a service have set aside. */
export function deadLetterCommands(db: Database, consumers: Consumers): Record<string, InternalHandler> {
  const handlers: CommandHandlers<DeadLetterCommands> = answers(db, consumers)
  return commandHandlers(handlers)
}

/** Asks a service by its own hand. */
export function ownDeadLetters(db: Database, consumers: Consumers): DeadLetters {
  const handlers = answers(db, consumers)
  return { call: (command, request) => handlers[command](request) }
}

function answers(db: Database, consumers: Consumers): Handlers {
  return {
    'list-dead-letters': async (request) => ({ letters: await listDeadLetters(db, request) }),
    'find-dead-letter': async (request) => ({ letter: await findDeadLetter(db, request) }),
    'replay-dead-letter': async (request) => {
      const consumer = consumers.get(request.consumer)
      if (!consumer)
        throw new Problem(409, 'consumer_gone', `Nothing here reads events as "${request.consumer}" any more.`, {
          hint: 'It belongs to an earlier release, and is forgotten when its time is over.',
        })
      if (consumer.prepare) await consumer.prepare((await findDeadLetter(db, request)).event)
      await replayDeadLetter(db, request, consumer.handle)
      return {}
    },
  }
}
