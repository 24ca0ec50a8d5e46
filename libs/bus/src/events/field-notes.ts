/** What a field of events tells, and what it may hold. */
export type FieldNote = { description: string; example: unknown }

const id = '0196a9c2-5b7e-7c11-9c3d-2f1f0e4a7b10'
const digest = `sha256:${'51ab0d3e'.repeat(8)}`
const note = (description: string, example: unknown): FieldNote => ({ description, example })
/** By name, for the fields that tell the same in every event. */
const common: Readonly<Record<string, FieldNote>> = {
  id: note('The id of what it is about.', id),
  name: note('The name of what it is about, as it is then.', 'team/app'),
  ownerId: note('The account that owns it; null: its namespace, or administrators.', id),
  repositoryId: note('The id of the repository, which ends the subject too.', id),
  repository: note('The name of the repository.', 'team/app'),
  basePath: note('Under what name it is pulled.', 'team/app'),
  namespace: note('The namespace; null where it belongs to none.', 'team'),
  labels: note('Labels, by name.', { team: 'payments' }),
  description: note('What it is for, in the words of its owner.', 'The shop.'),
  taskId: note('The task that did it.', id),
  runId: note('The id of the run.', id),
  digest: note('The digest of the content.', digest),
  code: note('Why it came to nothing, for programs.', 'upstream_unavailable'),
  reason: note('Why it came to nothing, for people.', 'registry.example answered 503'),
  message: note('Why it came to nothing, for people.', 'registry.example answered 503'),
  bytes: note('How many bytes came from upstream.', 41_200_000),
  issuer: note('The issuer of its tokens.', 'https://login.example.org'),
}

/** By the end of the subject, the part before its last dot, or its first part, and the name: for what tells something of its own there. */
const particular: Readonly<Record<string, FieldNote>> = {
  'auth.grant.to': note('To whom it is granted.', { kind: 'user', id, name: 'ann' }),
  'auth.grant.kind': note('Whether it is a user, a group or a robot.', 'user'),
  'auth.grant.role': note('The role.', 'maintainer'),
  'auth.grant.on': note('What it is granted on, as it is written.', 'namespace:team'),
  'auth.grant.name': note('The name of whom it is granted to.', 'ann'),
  'auth.group.name': note('The name of the group.', 'payments'),
  'auth.user.name': note('The name of the account.', 'ann'),
  'auth.robot.name': note('The name that it logs in with.', 'team/ci'),
  'auth.role.name': note('The name of the role.', 'releaser'),
  'auth.token.name': note('The name of the token, and of its person.', 'laptop'),
  'auth.trust.name': note('The name of the trust, and of its robot.', 'github'),
  'auth.identity-provider.name': note('The name of the provider.', 'company'),
  'auth.token.user': note('Whose token it is.', { id, name: 'ann' }),
  'auth.trust.robot': note('The robot that it gives the rights of.', { id, name: 'team/ci' }),
  'auth.role.verbs': note('What it lets do.', ['read', 'pull']),
  'auth.key.kid': note('The id of the key, as it stands in tokens.', 'k3F1'),
  'auth.key.notBefore': note('When it is used first.', '2026-11-29T02:30:00.000Z'),
  'auth.robot.expiresAt': note('When it ends.', '2026-12-13T02:30:00.000Z'),
  'auth.robot.days': note('In how many days.', 14),
  'auth.login.limit': note(
    'Whose logins are refused: one account from one network, the network, the site around it, or all.',
    'network',
  ),
  'auth.login.network': note('From where the last one came: an address of IPv4, or a /64 of IPv6.', '192.0.2.7'),
  'auth.login.failures': note('How many failed within the time.', 100),
  'auth.login.seconds': note('The time, in seconds.', 300),
  'registry.upload.sessionId': note('The id of the upload.', id),
  'registry.upload.bytes': note('How many bytes had come.', 41_200_000),
  'catalog.blob.damage': note('What is wrong with it.', 'rotten'),
  'catalog.distribution.repositoryId': note('What it serves; null where that comes from a host when it is pulled.', id),
  'catalog.distribution.version': note('The version that it is pinned to; null: the latest.', 12),
  'catalog.distribution.via': note('The distribution of a host by which it came.', id),
  'catalog.namespace.name': note('The name of the namespace.', 'team'),
  'catalog.namespace.defaultAccess': note('Who may pull what a first push makes.', 'private'),
  'catalog.namespace.quotaBytes': note('How many bytes its repositories may have; null: no bound.', 107_374_182_400),
  'catalog.namespace.retention': note('Which tags go by themselves, where the repository says nothing.', null),
  'catalog.repository.immutableTags': note('Patterns of tags that never move.', ['v*']),
  'catalog.repository.sparseIndexes': note('Whether indexes may lack some of their images.', false),
  'catalog.repository.retainVersions': note('How many versions are kept; null: all.', 10),
  'catalog.repository.retention': note('Which tags go by themselves.', null),
  'catalog.repository.requiresSignatures': note('Whether what comes from upstream has to be signed.', false),
  'catalog.store.cause': note('Whether it was asked for, or its time had come.', 'interval'),
  'catalog.store.removed': note('How many blobs were removed.', 40),
  'catalog.store.removedBytes': note('How many bytes they had.', 83_886_080),
  'catalog.store.orphans': note('How many files were removed that no blob has.', 2),
  'catalog.store.orphanBytes': note('How many bytes these had.', 4_096),
  'catalog.store.notFound': note('How many of the blobs were gone already.', 0),
  'catalog.store.failed': note('How many could not be removed, and are tried again.', 0),
  'catalog.store.taskId': note('The task; null where its time had come.', null),
  'catalog.tag.version': note('The version in which they point elsewhere.', 13),
  'catalog.tag.tags': note('The tags: as many as fit, at most 1,000.', [{ tag: '1.0', to: digest }]),
  'catalog.tag.tag': note('The tag.', '1.0'),
  'catalog.tag.from': note('What it pointed to; absent where it is new.', digest),
  'catalog.tag.to': note('What it points to; absent where it is gone.', digest),
  'catalog.tag.total': note('How many tags point elsewhere.', 1),
  'catalog.version.number': note('The number of the version.', 13),
  'catalog.version.revision': note('Counts every change of what the repository serves.', 21),
  'catalog.version.base': note('The version that it was made from.', 12),
  'catalog.version.cause': note('What made it: push, sync, copy, rollback, …', 'push'),
  'catalog.version.taskId': note('The task that made it; null where none did.', null),
  'catalog.version.added': note('How much is in it that was not in its base.', {
    tags: 1,
    manifests: 1,
    blobs: 3,
    signatures: 0,
  }),
  'catalog.version.removed': note('How much was in its base that is not in it.', {
    tags: 0,
    manifests: 0,
    blobs: 0,
    signatures: 0,
  }),
  'catalog.version.tags': note('How many tags.', 1),
  'catalog.version.manifests': note('How many manifests.', 1),
  'catalog.version.blobs': note('How many blobs.', 3),
  'catalog.version.signatures': note('How many signatures that stand beside their manifests.', 0),
  'catalog.version.contentHash': note(
    'The same for versions with the same content.',
    '461a58891214e4661a8cb20b645fa338',
  ),
  'catalog.version.to': note('The version whose content it has.', 9),
  'sync.remote.name': note('The name of the remote.', 'team/hub'),
  'sync.remote.host': note('The host that it stands for.', 'registry.example'),
  'sync.remote.policy': note('When blobs are fetched: at once, or when they are pulled.', 'immediate'),
  'sync.run.repositoryId': note('The id of the repository; null where it was not made, for nothing came.', id),
  'sync.run.remoteId': note('The id of the remote.', id),
  'sync.run.remote': note('The name of the remote.', 'team/hub'),
  'sync.run.mode': note('Whether tags that are gone upstream go here too.', 'additive'),
  'sync.run.phase': note('What it does now.', 'blobs'),
  'sync.run.tagsDone': note('How many tags are done.', 30),
  'sync.run.tagsTotal': note('Of how many; null until that is known.', 34),
  'sync.run.manifestsDone': note('How many manifests are done.', 21),
  'sync.run.manifestsTotal': note('Of how many; null until that is known.', null),
  'sync.run.blobsDone': note('How many blobs are done.', 9),
  'sync.run.blobsTotal': note('Of how many; null until that is known.', null),
  'sync.run.version': note('The version that the repository has now.', 13),
  'sync.run.created': note('Whether the run made it; false where upstream had nothing new.', true),
  'sync.run.tags': note('The names of tags: as many as fit, at most 1,000 of each.', {
    added: ['3.23'],
    moved: [],
    removed: [],
  }),
  'sync.run.tagCounts': note('How many tags.', { added: 1, moved: 0, removed: 0 }),
  'sync.run.durationMs': note('How long it took, in milliseconds.', 7_900),
  'sync.run.failures': note('What could not be copied: at most 100.', [
    { ref: 'edge', code: 'upstream_not_found', reason: 'registry.example has no such manifest' },
  ]),
  'sync.run.ref': note('What could not be copied: a tag or a digest.', 'edge'),
  'tasks.task.kind': note('What it does.', 'sync'),
  'tasks.task.state': note('The state that it has now.', 'completed'),
  'tasks.task.attempt': note('Which attempt it is, from 1; 0 before the first.', 1),
  'tasks.task.resources': note('What it locks, as many as 1,000.', ['repository:0196a9c2-5b7e-7c11-9c3d-2f1f0e4a7b10']),
  'tasks.task.error': note('Why it failed; null where it did not.', null),
  'tasks.schedule.scheduleId': note('The id of the schedule.', id),
  'tasks.schedule.schedule': note('The name of the schedule.', 'team/nightly'),
  'tasks.schedule.due': note('When it was due.', '2026-11-29T02:30:00.000Z'),
  'tasks.schedule.lateMs': note('How much later it began, in milliseconds.', 420),
  'tasks.schedule.madeUp': note('Whether its run is made up.', true),
  'tasks.webhook.webhookId': note('The id of the webhook.', id),
  'tasks.webhook.webhook': note('The name of the webhook.', 'team/ci'),
}
// What is added or moved is a list beside `tags` and a number beside `tagCounts`: their owners show an example of both.
const parts: Readonly<Record<string, FieldNote>> = {
  added: note('Those that are new.', undefined),
  moved: note('Those that point elsewhere.', undefined),
  removed: note('Those that are gone.', undefined),
}

/** What a field tells, of the event whose subject ends so; inner fields by their own name. Throws where nobody has said it. */
export function noteOf(tail: string, field: string, isInner: boolean): FieldNote {
  const entity = tail.slice(0, tail.lastIndexOf('.'))
  const found =
    particular[`${tail}.${field}`] ??
    particular[`${entity}.${field}`] ??
    (isInner ? parts[field] : undefined) ??
    common[field]
  if (!found) throw new Error(`nobody has said what "${field}" of ${tail} tells: libs/bus/src/events/field-notes.ts`)
  return found
}
