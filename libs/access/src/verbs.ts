/** What there are rights on. */
export const kinds = [
  'repository',
  'distribution',
  'remote',
  'namespace',
  'build',
  'task',
  'schedule',
  'webhook',
  'transfer',
  'account',
  'settings',
] as const
export type Kind = (typeof kinds)[number]

/** What can be allowed, each with what it lets do. A role is a list of these. */
export const verbs = {
  read: 'see the object, its content and its history by the API',
  pull: 'pull content by a client',
  push: 'push, tag, modify, copy into, build into',
  delete: 'delete tags, manifests and versions',
  rollback: 'make a version with the content of an older one',
  update: 'change description, labels, immutable tags and other settings of a repository',
  retention: 'set, plan and run retention',
  remove: 'delete the repository or the distribution itself',
  publish: 'make something public',
  grant: 'give rights that one has, and see those of others on the object',
  'repository.create': 'make repositories, by a push too',
  'distribution.create': 'make distributions',
  'distribution.update': 'change what a distribution serves, and promote versions',
  'remote.create': 'make remotes',
  'remote.update': 'see where a remote points to, and change it',
  'remote.delete': 'delete a remote',
  'remote.use': 'sync from a remote',
  'namespace.update': 'change what is set about a namespace, but for its quota',
  'robot.manage': 'make, rotate and delete robots of the namespace',
  'task.update': 'cancel what others started, and have it tried again',
  build: 'build images',
  'build.egress': 'build images with a network, where the namespace allows that',
  'schedule.read': 'see schedules',
  'schedule.manage': 'make, change, run and delete schedules',
  'webhook.read': 'see webhooks and their deliveries',
  'webhook.manage': 'make, change, test and delete webhooks',
  'audit.read': 'see who changed what in the namespace, and what was refused there',
  'transfer.export': 'export content',
  'transfer.import': 'import content',
  'account.read': 'see accounts, groups, roles and grants',
  'settings.read': 'see metrics, and the state of the store',
  administer: 'all that is for administrators alone: accounts, roles, the store, quotas, what opens private addresses',
} as const
export type Verb = keyof typeof verbs

const verbNames = new Set<string>(Object.keys(verbs))

/** Whether a text is a verb. */
export function isVerb(text: string): text is Verb {
  return verbNames.has(text)
}

const puller: readonly Verb[] = ['read', 'pull']
const pusher: readonly Verb[] = [...puller, 'push', 'repository.create']
const maintainer: readonly Verb[] = [
  ...pusher,
  'delete',
  'rollback',
  'update',
  'retention',
  'distribution.create',
  'distribution.update',
  'remote.use',
  'task.update',
  'build',
  'schedule.read',
  'schedule.manage',
  'webhook.read',
  'webhook.manage',
  'transfer.export',
]
const owner: readonly Verb[] = [
  ...maintainer,
  'remove',
  'publish',
  'grant',
  'robot.manage',
  'build.egress',
  'remote.create',
  'remote.update',
  'remote.delete',
  'transfer.import',
  'namespace.update',
  'audit.read',
]

/** The roles that there are without being made; each has all of the one before it. `admin` is given on everything only. */
export const builtInRoles = {
  puller,
  pusher,
  maintainer,
  owner,
  admin: Object.keys(verbs) as readonly Verb[],
} as const satisfies Record<string, readonly Verb[]>
export type BuiltInRole = keyof typeof builtInRoles

/**
 * What the owner of one object may do with it. Not what opens a namespace to others: a person who made a repository by a push owns
 * it, and may not publish it unless the namespace says so.
 */
export const ownVerbs: ReadonlySet<Verb> = new Set(owner.filter((verb) => verb !== 'publish'))

/** What everybody may do with what is public. */
export const publicVerbs: ReadonlySet<Verb> = new Set(puller)

/** The least built-in role that has a verb, to name it in a refusal. */
export function roleWith(verb: Verb): BuiltInRole {
  const names = Object.keys(builtInRoles) as BuiltInRole[]
  return names.find((name) => builtInRoles[name].includes(verb)) ?? 'admin'
}
