import { inSpan } from '@berth/tracing'
import type { CloudEvent } from './events/event.ts'

/**
 * Handles events within a span of the trace that the first of them comes from, linked to those of the others. Events of no trace that is
 * recorded have none.
 */
export function inSpanOf<T>(
  events: readonly CloudEvent[],
  { consumer, service }: { consumer: string; service?: string | undefined },
  work: () => Promise<T>,
): Promise<T> {
  const traced = events.filter(({ traceparent }) => traceparent !== undefined)
  const [first, ...others] = traced
  if (!first) return work()
  return inSpan(
    {
      name: `process ${first.type}`,
      kind: 'consumer',
      ...(service === undefined ? {} : { service }),
      parent: first.traceparent,
      links: others.map(({ traceparent = '' }) => traceparent),
      attributes: {
        'messaging.system': 'nats',
        'messaging.operation.name': 'process',
        'messaging.operation.type': 'process',
        'messaging.consumer.group.name': consumer,
        'messaging.message.id': first.id,
        'messaging.batch.message_count': events.length,
      },
    },
    work,
  )
}

/** An event as it is told: its trace is ours alone. */
export function withoutTrace(event: CloudEvent): CloudEvent {
  if (event.traceparent === undefined) return event
  const { traceparent: _, ...told } = event
  return told
}
