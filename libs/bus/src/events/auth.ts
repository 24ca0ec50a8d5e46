import { defineEvent } from './event.ts'
import { count, text, uuid } from './fields.ts'

export type UserChanged = { id: string; name: string }
export const userCreated = defineEvent<UserChanged>('auth', 'user.created', 'An account was made.', {
  id: uuid,
  name: text,
})

export const userUpdated = defineEvent<UserChanged>(
  'auth',
  'user.updated',
  'An account was changed; with its password, or when it may not log in any more, what was issued to it before has ended.',
  { id: uuid, name: text },
)
export const userDeleted = defineEvent<UserChanged>('auth', 'user.deleted', 'An account was deleted.', {
  id: uuid,
  name: text,
})

export type TokenChanged = { id: string; name: string; user: { id: string; name: string } }
const token = {
  id: uuid,
  name: text,
  user: { type: 'object', additionalProperties: false, properties: { id: uuid, name: text }, required: ['id', 'name'] },
}
export const tokenCreated = defineEvent<TokenChanged>('auth', 'token.created', 'A personal token was made.', token)
export const tokenDeleted = defineEvent<TokenChanged>(
  'auth',
  'token.deleted',
  'A personal token was deleted by its owner; those that end with other things are not told of.',
  token,
)

export type IdentityProviderChanged = { id: string; name: string; issuer: string }
const identityProvider = { id: uuid, name: text, issuer: text }
export const identityProviderCreated = defineEvent<IdentityProviderChanged>(
  'auth',
  'identity-provider.created',
  'An identity provider was made.',
  identityProvider,
)
export const identityProviderUpdated = defineEvent<IdentityProviderChanged>(
  'auth',
  'identity-provider.updated',
  'An identity provider was changed.',
  identityProvider,
)
export const identityProviderDeleted = defineEvent<IdentityProviderChanged>(
  'auth',
  'identity-provider.deleted',
  'An identity provider was deleted; what was issued to people of its issuer has ended, unless another one has that issuer.',
  identityProvider,
)

export type TrustChanged = { id: string; name: string; issuer: string; robot: { id: string; name: string } }
const trust = {
  id: uuid,
  name: text,
  issuer: text,
  robot: {
    type: 'object',
    additionalProperties: false,
    properties: { id: uuid, name: text },
    required: ['id', 'name'],
  },
}
export const trustCreated = defineEvent<TrustChanged>('auth', 'trust.created', 'A trust was made.', trust)
export const trustUpdated = defineEvent<TrustChanged>('auth', 'trust.updated', 'A trust was changed.', trust)
export const trustDeleted = defineEvent<TrustChanged>(
  'auth',
  'trust.deleted',
  'A trust was deleted; those that end with their robot are not told of.',
  trust,
)

export type LoginThrottled = {
  limit: 'account' | 'network' | 'site' | 'all'
  network: string
  failures: number
  seconds: number
}
export const loginThrottled = defineEvent<LoginThrottled>(
  'auth',
  'login.throttled',
  'So many logins failed that more are refused for a while; told when that begins.',
  { limit: { enum: ['account', 'network', 'site', 'all'] }, network: text, failures: count, seconds: count },
)

export type KeyRotated = { kid: string; notBefore: string }
export const keyRotated = defineEvent<KeyRotated>('auth', 'key.rotated', 'Tokens are signed with another key.', {
  kid: text,
  notBefore: text,
})

export type GroupChanged = { id: string; name: string }
const group = { id: uuid, name: text }
export const groupCreated = defineEvent<GroupChanged>('auth', 'group.created', 'A group was made.', group)
export const groupUpdated = defineEvent<GroupChanged>('auth', 'group.updated', 'A group has other members.', group)
export const groupDeleted = defineEvent<GroupChanged>(
  'auth',
  'group.deleted',
  'A group was deleted, with what was granted to it.',
  group,
)

export type RobotChanged = { id: string; name: string; namespace: string | null }
const robot = { id: uuid, name: text, namespace: { type: ['string', 'null'] } }
export const robotCreated = defineEvent<RobotChanged>('auth', 'robot.created', 'A robot was made.', robot)
export const robotUpdated = defineEvent<RobotChanged>(
  'auth',
  'robot.updated',
  'A robot was changed, or has another secret.',
  robot,
)
export const robotDeleted = defineEvent<RobotChanged>(
  'auth',
  'robot.deleted',
  'A robot was deleted, with what was granted to it.',
  robot,
)
export const robotExpiring = defineEvent<RobotChanged & { expiresAt: string; days: number }>(
  'auth',
  'robot.expiring',
  'A robot ends soon: told 14 days before, and 1 day before.',
  { ...robot, expiresAt: text, days: count },
)

export type RoleChanged = { id: string; name: string; verbs: string[] }
const role = { id: uuid, name: text, verbs: { type: 'array', items: text } }
export const roleCreated = defineEvent<RoleChanged>('auth', 'role.created', 'A role was made.', role)
export const roleUpdated = defineEvent<RoleChanged>('auth', 'role.updated', 'A role has other verbs.', role)
export const roleDeleted = defineEvent<RoleChanged>('auth', 'role.deleted', 'A role was deleted.', role)

export type GrantChanged = {
  id: string
  to: { kind: 'user' | 'group' | 'robot'; id: string; name: string }
  role: string
  on: string
}
const grant = {
  id: uuid,
  to: {
    type: 'object',
    additionalProperties: false,
    properties: { kind: { enum: ['user', 'group', 'robot'] }, id: uuid, name: text },
    required: ['kind', 'id', 'name'],
  },
  role: text,
  on: text,
}
export const grantCreated = defineEvent<GrantChanged>('auth', 'grant.created', 'A role was granted.', grant)
export const grantUpdated = defineEvent<GrantChanged>('auth', 'grant.updated', 'A grant has another role.', grant)
export const grantDeleted = defineEvent<GrantChanged>(
  'auth',
  'grant.deleted',
  'A grant ended: it was deleted, or whom it was given to, or what it was on.',
  grant,
)
