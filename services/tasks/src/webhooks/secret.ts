import { createHmac, randomBytes } from 'node:crypto'
import { badField } from '@berth/service'

// Of the Standard Webhooks specification, "Signature scheme".
const prefix = 'whsec_'
const leastBytes = 24
const mostBytes = 64

/** A new secret of 256 bits. */
export function makeSecret(): string {
  return `${prefix}${randomBytes(32).toString('base64')}`
}

/** Throws 400 unless a text is a secret that events can be signed with. It is not repeated. */
export function checkSecret(text: string): void {
  const key = keyOf(text)
  if (
    !text.startsWith(prefix) ||
    key.toString('base64').replaceAll('=', '') !== text.slice(prefix.length).replaceAll('=', '')
  )
    throw badField('secret', `is not ${prefix} and a key in base64 behind it`, 'Leave it away to have one made.')
  if (key.length < leastBytes || key.length > mostBytes)
    throw badField(
      'secret',
      `holds ${key.length} bytes, and not ${leastBytes} to ${mostBytes}`,
      'Leave it away to have one made.',
    )
}

/** What a message is signed as, with each of some secrets: a receiver that knows one of them believes it. */
export function signatureOf(
  secrets: readonly string[],
  message: { id: string; timestamp: number; body: string },
): string {
  const { id, timestamp, body } = message
  return secrets
    .map((secret) => `v1,${createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.${body}`).digest('base64')}`)
    .join(' ')
}

function keyOf(secret: string): Buffer {
  return Buffer.from(secret.slice(prefix.length), 'base64')
}
