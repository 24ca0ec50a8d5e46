import { hkdfSync, randomInt, timingSafeEqual } from 'node:crypto'
import { createMac } from '@berth/service'

/** The account (its id) and the repository that an upload session belongs to: for others it does not exist. */
export type SessionOwner = { repository: string; subject: string }

/**
 * Makes and recognises the ids of upload sessions. An id proves by itself that a registry of this installation gave it to this
 * owner, and when; so beginning a session writes nothing, and any replica takes it over
 * (docs/decisions/0013-session-ids-prove-themselves.md). It carries the number of the generation under which its bytes are stored at
 * the end, so that a repeated end finds what the first one has stored.
 */
export type SessionIds = {
  make(owner: SessionOwner, generation: number | undefined): string
  /**
   * The number that the id carries; `undefined` when it carries none, or one that is too old to be used. The caller knows the id to
   * be genuine.
   */
  generationOf(id: string): number | undefined
  /** Whether the id was given to this owner within the last `openHours`. */
  isGenuine(id: string, owner: SessionOwner): boolean
}

/** How long a session may lie untouched. */
export const openHours = 24

// Numbers are handed out for this long and an hour (docs/decisions/0051).
const numberHours = 23

const timeBytes = 4
const numberBytes = 5
// Below this it is a number of a generation, as far as the column of catalog goes. The others are chance, and make an id unlike all others
// that has no number; so are those of the release before, but for one in five hundred.
const mostNumbers = 2 ** 31
// Seven bytes: a guess at another caller's session has one chance in 2^56 with each request.
const proofBytes = 7
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** `secret` is the same for all replicas; what is made of it serves for these ids alone. */
export function createSessionIds(secret: string | Buffer, now: () => number = Date.now): SessionIds {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'berth upload session ids', 32))
  const mac = createMac(key)
  // A name of a repository has no such character, so no part of one can be shifted into the other.
  const prove = (head: Uint8Array, { repository, subject }: SessionOwner) =>
    mac(Buffer.concat([head, Buffer.from(`${repository}\n${subject}`)])).subarray(0, proofBytes)
  const seconds = () => Math.floor(now() / 1000)

  return {
    make: (owner, generation) => {
      const head = Buffer.alloc(timeBytes + numberBytes)
      head.writeUInt32BE(seconds())
      head.writeUIntBE(generation ?? randomInt(mostNumbers, 2 ** (8 * numberBytes)), timeBytes, numberBytes)
      const hex = Buffer.concat([head, prove(head, owner)]).toString('hex')
      return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
    },
    generationOf: (id) => {
      const bytes = bytesOf(id)
      if (seconds() - bytes.readUInt32BE() >= numberHours * 3_600) return undefined
      const number = bytes.readUIntBE(timeBytes, numberBytes)
      return number < mostNumbers ? number : undefined
    },
    isGenuine: (id, owner) => {
      if (!isSessionId(id)) return false
      const bytes = bytesOf(id)
      const head = bytes.subarray(0, timeBytes + numberBytes)
      if (!timingSafeEqual(bytes.subarray(head.length), prove(head, owner))) return false
      return seconds() - head.readUInt32BE() < openHours * 3_600
    },
  }
}

function bytesOf(id: string): Buffer {
  return Buffer.from(id.replaceAll('-', ''), 'hex')
}

/** Whether a text has the form of a session's id. */
export function isSessionId(text: string): boolean {
  return uuid.test(text)
}
