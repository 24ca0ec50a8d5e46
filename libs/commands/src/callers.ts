import type { AuthCommands } from './auth.ts'
import type { CatalogCommands } from './catalog.ts'
import type { OperationCommands } from './operations.ts'
import type { RegistryCommands } from './registry.ts'
import type { SyncCommands } from './sync.ts'
import type { TasksCommands } from './tasks.ts'

type Caller = 'auth' | 'build' | 'catalog' | 'registry' | 'sync' | 'tasks'
/** Each command with the services that need it; that others may ask for events, and for what was recorded for the audit trail, are commands of every service. */
type Callers<Commands> = { readonly [Command in keyof Commands | 'list-events' | 'take-audit']: readonly Caller[] }

/** What every service answers about the events that it has set aside. */
const deadLetters = {
  'list-dead-letters': ['tasks'],
  'find-dead-letter': ['tasks'],
  'replay-dead-letter': ['tasks'],
} as const
/** Of those that nobody asks for any. */
const noDeadLetters = { 'list-dead-letters': [], 'find-dead-letter': [], 'replay-dead-letter': [] } as const

const auth: Callers<AuthCommands> = {
  identify: ['catalog', 'sync', 'tasks', 'build'],
  'decide-access': ['registry'],
  'grants-of': ['registry'],
  'principal-of': ['catalog', 'sync', 'tasks', 'build'],
  'find-accounts': ['catalog', 'tasks'],
  'list-denied-pulls': ['catalog'],
  'grant-namespace': ['catalog'],
  'list-keys': ['registry'],
  'list-events': ['tasks'],
  'take-audit': ['tasks'],
  ...deadLetters,
}

const catalog: Callers<CatalogCommands & OperationCommands> = {
  'ensure-pulled': ['sync'],
  'await-served': ['sync'],
  'take-pull-order': ['sync'],
  'check-named': ['sync'],
  'ensure-repository': ['sync', 'build'],
  'find-served': ['build'],
  'check-tags': ['build'],
  'check-build-egress': ['build'],
  'find-repository': ['sync', 'build'],
  'find-required-signatures': ['sync'],
  'lease-blobs': ['registry', 'sync', 'build'],
  'keep-blob': ['registry'],
  'lease-present': ['registry'],
  'renew-leases': ['sync', 'build'],
  'release-leases': ['sync', 'build'],
  'record-blobs': ['sync', 'build'],
  'link-blob': ['registry'],
  'push-blob': ['registry'],
  'take-generations': ['registry'],
  'find-link': ['registry'],
  'list-linking': ['registry'],
  'push-manifest': ['registry'],
  'put-manifest': ['registry'],
  'put-signature': ['registry'],
  'delete-reference': ['registry'],
  'delete-blob-link': ['registry'],
  'stage-content': ['sync', 'build'],
  'commit-stage': ['sync', 'build'],
  'close-stage': ['sync', 'build'],
  'list-known-manifests': ['sync', 'build'],
  'list-known-blobs': ['sync'],
  'list-freely-given': ['sync'],
  'list-pulled-through': ['sync'],
  'list-members': ['sync'],
  'list-blob-states': ['sync'],
  'list-remote-blobs': ['sync'],
  'list-known-signatures': ['sync'],
  'find-closure': ['sync'],
  'list-lacking-foreign': ['sync'],
  'list-sparse-indexes': ['sync'],
  'list-tags': ['sync'],
  'check-may-delete': ['registry'],
  'record-pulls': ['registry'],
  'list-audited-namespaces': ['registry'],
  'list-served-rows': ['registry'],
  'list-served-heads': ['registry'],
  'list-access-objects': ['auth', 'tasks'],
  'call-operation': ['tasks'],
  'list-events': ['registry', 'auth', 'tasks'],
  'take-audit': ['tasks'],
  ...deadLetters,
}

const registry: Callers<RegistryCommands> = {
  'follow-repository': ['catalog'],
  'rebuild-repository': ['catalog'],
  'follow-distribution': ['catalog'],
  'follow-pull-through': ['catalog'],
  'follow-namespace': ['catalog'],
  'list-isolated-repositories': ['catalog'],
  'forget-repository': ['catalog'],
  'list-events': ['tasks'],
  'take-audit': ['tasks'],
  ...deadLetters,
}

const sync: Callers<SyncCommands & OperationCommands> = {
  // Its replicas ask each other who fetches.
  'fetch-blob': ['registry', 'sync', 'build'],
  'check-still-there': ['catalog'],
  'find-remote': ['catalog'],
  'pull-through': ['registry', 'build'],
  'pull-through-referrers': ['registry'],
  'fetch-again': ['catalog'],
  'list-access-objects': ['auth', 'tasks'],
  'call-operation': ['tasks'],
  'list-events': ['auth', 'tasks'],
  'take-audit': ['tasks'],
  ...deadLetters,
}

const tasks: Callers<TasksCommands> = {
  'create-task': ['catalog', 'sync', 'build'],
  'claim-task': ['catalog', 'sync', 'build'],
  'renew-task': ['catalog', 'sync', 'build'],
  'put-back-task': ['catalog', 'sync', 'build'],
  'find-schedules-of': ['auth'],
  'transfer-schedules': ['auth'],
  'cancel-children': ['sync'],
  'list-task-states': ['sync', 'build', 'catalog'],
  'finish-task': ['catalog', 'sync', 'build'],
  'list-events': ['sync', 'build'],
  // It asks itself without a call.
  'take-audit': [],
  ...noDeadLetters,
}

const build: Callers<object> = { 'list-events': ['tasks'], 'take-audit': ['tasks'], ...deadLetters }

/** Which services each service answers, command by command (ARCHITECTURE.md, "Who asks whom"); no other caller is heard. */
export const callers: Readonly<Record<Caller, Readonly<Record<string, readonly string[]>>>> = {
  auth,
  build,
  catalog,
  registry,
  sync,
  tasks,
}
