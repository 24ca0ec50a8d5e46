import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'

/** The account (its id) and the repository that an upload session belongs to: for others it does not exist. */
export type SessionOwner = { repository: string; subject: string }

/**
 * Makes and recognises the ids of upload sessions. An id proves by itself that a registry of this installation gave it to this
 * owner, and when; so beginning a session writes nothing, and any replica takes it over
 * (docs/decisions/0013-session-ids-prove-themselves.md).
 */
export type SessionIds = {
  make(owner: SessionOwner): string
  /** Whether the id was given to this owner within the last `openHours`. */
  isGenuine(id: string, owner: SessionOwner): boolean
}

/** How long a session may lie untouched. */
export const openHours = 24

const timeBytes = 4
const randomPartBytes = 5
// Seven bytes: a guess at another caller's session has one chance in 2^56 with each request.
const proofBytes = 7
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** `secret` is the same for all replicas; what is made of it serves for these ids alone. */
export function createSessionIds(secret: string | Buffer, now: () => number = Date.now): SessionIds {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'berth upload session ids', 32))
  const prove = (head: Uint8Array, { repository, subject }: SessionOwner) =>
    createHmac('sha256', key)
      .update(head)
      // A name of a repository has no such character, so no part of one can be shifted into the other.
      .update(`${repository}\n${subject}`)
      .digest()
      .subarray(0, proofBytes)
  const seconds = () => Math.floor(now() / 1000)

  return {
    make: (owner) => {
      const head = Buffer.alloc(timeBytes + randomPartBytes)
      head.writeUInt32BE(seconds())
      randomBytes(randomPartBytes).copy(head, timeBytes)
      const hex = Buffer.concat([head, prove(head, owner)]).toString('hex')
      return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
    },
    isGenuine: (id, owner) => {
      if (!isSessionId(id)) return false
      const bytes = Buffer.from(id.replaceAll('-', ''), 'hex')
      const head = bytes.subarray(0, timeBytes + randomPartBytes)
      if (!timingSafeEqual(bytes.subarray(head.length), prove(head, owner))) return false
      return seconds() - head.readUInt32BE() < openHours * 3_600
    },
  }
}

/** Whether a text has the form of a session's id. */
export function isSessionId(text: string): boolean {
  return uuid.test(text)
}
