import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import { keyIdOf, type ServicePublicKeys, sharedSecret } from '@berth/service'
import type { EventSource } from './events/event.ts'
import { followersOf } from './nats-users.ts'

/** The header of a message that has its marks: for each key of those who follow, its id and what it takes to be believed. */
export const marksHeader = 'berth-marks'

/** Marks the text of an event of a service for those who follow it. */
export type MarkEvent = (text: string) => string
/** Whether a text was marked by the service that it is followed from. */
export type IsGenuine = (text: string, marks: string | undefined) => boolean

type Keys = { privateKey: KeyObject; publicKeys: ServicePublicKeys }

/**
 * NATS does not keep a service from having its messages delivered to the subjects of another one (docs/decisions/0041), so an event
 * is believed for a mark that only its service and the follower can make: an HMAC under a secret that both work out from their own
 * private key and the public one of the other. It costs ten microseconds, where a signature would cost two hundred.
 */
export function createEventMarks(source: EventSource, { privateKey, publicKeys }: Keys): MarkEvent {
  const followers = followersOf(source)
  const secrets = [...publicKeys]
    .filter(([, { service }]) => followers.some((follower) => follower === service))
    .map(([id, { service, key }]) => ({ id, secret: secretOf(privateKey, key, { source, follower: service }) }))
  return (text) => secrets.map(({ id, secret }) => `${id}=${markOf(text, secret)}`).join(',')
}

/** The other side of `createEventMarks`. The service may have several keys while one takes the place of another. */
export function createEventCheck(
  { source, follower }: { source: EventSource; follower: EventSource },
  { privateKey, publicKeys }: Keys,
): IsGenuine {
  const own = `${keyIdOf(privateKey)}=`
  const secrets = [...publicKeys.values()]
    .filter(({ service }) => service === source)
    .map(({ key }) => secretOf(privateKey, key, { source, follower }))
  return (text, marks = '') => {
    const mark = marks.split(',', 20).find((one) => one.startsWith(own))
    if (mark === undefined) return false
    const given = Buffer.from(mark.slice(own.length))
    return secrets.some((secret) => {
      const wanted = Buffer.from(markOf(text, secret))
      return given.length === wanted.length && timingSafeEqual(given, wanted)
    })
  }
}

/** For one direction: what a service tells a follower is no mark of what it hears from it. */
function secretOf(privateKey: KeyObject, key: KeyObject, { source, follower }: { source: string; follower: string }) {
  return sharedSecret(privateKey, key, `events of ${source} for ${follower}`)
}

function markOf(text: string, secret: KeyObject): string {
  return createHmac('sha256', secret).update(text).digest('base64url')
}
