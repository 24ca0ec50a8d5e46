import { defineEvent } from '../event.ts'
import { text, uuid } from './fields.ts'

export type UserChanged = { id: string; name: string }
export const userCreated = defineEvent<UserChanged>('auth', 'user.created', 'An account was made.', {
  id: uuid,
  name: text,
})

export type KeyRotated = { kid: string; notBefore: string }
export const keyRotated = defineEvent<KeyRotated>('auth', 'key.rotated', 'Tokens are signed with another key.', {
  kid: text,
  notBefore: text,
})
