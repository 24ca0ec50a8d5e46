import { closest } from 'fastest-levenshtein'
import { fileVariables } from './setting-files.ts'
import { StartupError } from './startup-error.ts'

const prefix = 'BERTH_'
// Of all parts together: a variable of one service may stand in the environment of another, and of all of them in one.
const known = new Set(
  `ADMIN_FIRST_PASSWORD ADMIN_PASSWORD AUDIT_COUNT_SECONDS AUDIT_KEPT_DAYS AUDIT_OUTPUT AUTH_URL BENCH_TAGS BLOBS_DIR BLOBS_JOURNAL BOOTSTRAP_PID BUILDS BUILD_ALIASES
  BUILD_CACHE_BYTES BUILD_CACHE_REPOSITORY_BYTES BUILD_CONTEXT_BYTES BUILD_CONTEXT_FILES BUILD_DIR BUILD_DISK_BYTES BUILD_MEMORY_BYTES BUILD_PROCESSES
  BUILD_SECONDS BUILD_URL BUILD_USER
  CACHE CALL_TIMEOUT_SECONDS CATALOG_URL DATABASE_PASSWORD DATABASE_ROLE DATABASE_URL DISK_RESERVE_BYTES DRAIN_SECONDS EXPORT_SIGNING_KEY EXTERNAL_LOGIN_DAYS EXTERNAL_URL GC_GRACE_SECONDS HISTORY_DAYS IMPORT_REQUIRE_SIGNATURE IMPORT_TRUSTED_KEYS
  GC_INTERVAL_SECONDS HOME HOST INTERNAL_HOST INTERNAL_PORT INTERNAL_TLS_CA INTERNAL_TLS_CERT INTERNAL_TLS_KEY INTERNAL_URL
  LOG_LEVEL LOG_OUTPUT METRICS_TOKEN MIGRATE NATS_SEED NATS_SERVER NATS_URL OTLP_ENDPOINT PORT PROCESSES
  PUSH_LEASE_SECONDS REGISTRY_URL RESTORED RETENTION_INTERVAL_SECONDS RSYNC_HOSTS RSYNC_KEYS_DIR RSYNC_KNOWN_HOSTS S3_ACCESS_KEY S3_BUCKET S3_CREDENTIALS S3_ENDPOINT
  S3_REGION S3_SECRET_KEY S3_TIMEOUT_SECONDS SCRUB_BYTES_PER_SECOND SCRUB_INTERVAL_SECONDS SECRETS_KEY
  SECRETS_PREVIOUS_KEYS SERVICE_PRIVATE_KEY SERVICE_PUBLIC_KEYS SPOOL_DIR STACK_JOURNAL STORE_ADOPT SYNC_URL
  DEAD_LETTER_KEPT_DAYS TASKS_URL TASK_KEPT_DAYS TASK_LEASE_SECONDS TLS_CERT TLS_KEY TRACE_RATIO TRANSFER_DIR TRUSTED_PROXIES TRY_URL WEBHOOK_TRIES`.split(
    /\s+/,
  ),
)

// Kubernetes puts these into every container for a service that happens to be named so
// (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
const injected = /_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT_\d+_/

// What was a setting once, and what to do instead.
const gone: Readonly<Record<string, string>> = {
  SERVICE_KEY:
    'is no setting any more: each service signs its calls with a key of its own; take it away, and where services are started by themselves ' +
    `set ${prefix}SERVICE_PRIVATE_KEY and ${prefix}SERVICE_PUBLIC_KEYS`,
}

/** Whether Kubernetes and not a person has set a variable: `BERTH_PORT=tcp://10.0.0.1:8080` is no port to listen on. */
export function isInjected(name: string, value: string): boolean {
  return injected.test(name) || (name.endsWith('_PORT') && value.startsWith('tcp://'))
}

/**
 * Refuses variables that no part of Berth reads: a name that is misspelled would leave its setting at the default without a word.
 * Those of tests are all allowed. Throws `StartupError` that names each one, with the known name that is most like it.
 */
export function refuseUnknownVariables(env: NodeJS.ProcessEnv): void {
  const unknown = Object.entries(env).flatMap(([name, value = '']) => {
    if (!name.startsWith(prefix) || isInjected(name, value)) return []
    const rest = name.slice(prefix.length)
    return known.has(rest) || fileVariables.includes(name) || rest.startsWith('TEST_') ? [] : [rest]
  })
  if (unknown.length === 0) return
  const said = unknown.map(
    (name) =>
      `${prefix}${name} ${gone[name] ?? `is no setting (did you mean ${prefix}${closest(name, [...known, ...fileVariables.map((one) => one.slice(prefix.length))])}?)`}`,
  )
  throw new StartupError(
    said.join('; '),
    'correct the name or take it away; docs/reference/settings.md has all of them',
  )
}

/** The names that are known, for the test that compares them with what is read. */
export function knownVariables(): string[] {
  return [...[...known].map((name) => `${prefix}${name}`), ...fileVariables]
}
