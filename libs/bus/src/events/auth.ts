import { defineEvent } from './event.ts'
import { text, uuid } from './fields.ts'

export type UserChanged = { id: string; name: string }
export const userCreated = defineEvent<UserChanged>('auth', 'user.created', 'An account was made.', {
  id: uuid,
  name: text,
})

export const userUpdated = defineEvent<UserChanged>(
  'auth',
  'user.updated',
  'An account was changed; what was issued to it before has ended.',
  { id: uuid, name: text },
)
export const userDeleted = defineEvent<UserChanged>('auth', 'user.deleted', 'An account was deleted.', {
  id: uuid,
  name: text,
})

export type KeyRotated = { kid: string; notBefore: string }
export const keyRotated = defineEvent<KeyRotated>('auth', 'key.rotated', 'Tokens are signed with another key.', {
  kid: text,
  notBefore: text,
})
