export { type Bus, connectBus } from './connection.ts'
export { type ConsumeOptions, type Consumer, startConsumer } from './consume.ts'
export {
  type DeadLetter,
  type DeadLetterCommands,
  findDeadLetter,
  listDeadLetters,
  replayDeadLetter,
} from './dead-letters.ts'
export { allEvents } from './describe-events.ts'
export { createEventCheck, createEventMarks } from './event-marks.ts'
export { eventTables } from './event-tables.ts'
export * as authEvents from './events/auth.ts'
export * as buildEvents from './events/build.ts'
export * as catalogEvents from './events/catalog.ts'
export {
  type CloudEvent,
  declaredOf,
  type EventKind,
  type EventSource,
  eventSources,
  type NewEvent,
  typeOf,
} from './events/event.ts'
export { nameLimit } from './events/fields.ts'
export * as registryEvents from './events/registry.ts'
export { scheduleEvents } from './events/schedules.ts'
export * as syncEvents from './events/sync.ts'
export { type TaskChanged, taskEvents } from './events/tasks.ts'
export { webhookEvents } from './events/webhooks.ts'
export { fitLists } from './fit-lists.ts'
export { type Loop, startLoop } from './loop.ts'
export { measureEvents } from './measure-events.ts'
export { natsNotes, noteSharedLogin } from './nats-state.ts'
export { isNatsSeed, makeNatsUser, natsPublicKeyOf, natsRights, natsUsers, requireFollower } from './nats-users.ts'
export {
  type EventCommands,
  eventsRecorded,
  type OutboxPage,
  type OutboxRow,
  readOutbox,
  recordEvents,
} from './outbox.ts'
export { type Relay, startRelay } from './relay.ts'
export { announceWork, listenForWork } from './work-queue.ts'
