import type { JsMsg } from 'nats'
import { type IsGenuine, marksHeader } from './event-marks.ts'
import type { CloudEvent } from './events/event.ts'

/** The event of a message; `undefined` for what another program wrote to the stream: the owner knows what there really is. */
export function readEvent(message: JsMsg, isGenuine: IsGenuine | undefined): CloudEvent | undefined {
  try {
    if (isGenuine && !isGenuine(message.string(), message.headers?.get(marksHeader))) return undefined
    return message.json<CloudEvent | undefined>()
  } catch {
    return undefined
  }
}
