export {
  type ApiHandler,
  type ApiReply,
  type ApiRequest,
  createApi,
  type Identify,
} from './api.ts'
export { createGuard, type Guard, notSeen, type ObjectFinders, requireVerb } from './api-access.ts'
export { type ApiDocument, readApiDocument } from './api-document.ts'
export type { Handlers, RequestOf } from './api-types.ts'
export { type AuditEntry, namespaceOf, noteAudit, noteUnchanged, withAudit } from './audit-entry.ts'
export {
  type AuditCommands,
  type AuditRow,
  auditTables,
  type Recorded,
  recordCounts,
  recordedAs,
  takeAudit,
} from './audit-outbox.ts'
export { awaitDatabase, awaitMigrations } from './await-migrations.ts'
export { inertHeaders, isForged, type OriginSettings, originSettings } from './browser-guard.ts'
export { clientAddress, thisMachine } from './client-address.ts'
export { type ClientLimits, usualClientLimits } from './client-guard.ts'
export { assignments, type Columns, columnValues, insertQuery, pickFields, selectedColumns } from './columns.ts'
export {
  type ConfigOf,
  choice,
  flag,
  integer,
  optionalInteger,
  optionalText,
  optionalUrl,
  parsed,
  readConfig,
  type Setting,
  text,
  url,
} from './config.ts'
export { createStreamCount } from './count-streams.ts'
export {
  type Database,
  openDatabase,
  sqlState,
  type Transaction,
  violatedConstraint,
} from './database.ts'
export { databaseProblem, isPassing } from './database-away.ts'
export { databaseSettings, withDatabasePassword } from './database-settings.ts'
export { createDenials, type Denial, type Denials } from './denials.ts'
export { deriveId } from './derive-id.ts'
export { type CallOptions, callSettings, createInternalClient, type InternalClient } from './internal-client.ts'
export {
  ByteReply,
  type Callers,
  createInternalServer,
  type InternalCall,
  type InternalHandler,
  type InternalServer,
  rows,
} from './internal-server.ts'
export { type InternalTls, internalTlsSettings, openInternalTls } from './internal-tls.ts'
export { auditCountSettings, deadLetterSettings, restoredSettings } from './kept-settings.ts'
export { Lifecycle } from './lifecycle.ts'
export type { LocalPeers } from './local-call.ts'
export { logSettings } from './log-settings.ts'
export {
  createLogger,
  type Logger,
  type LogLevel,
  type LogOutput,
  redactText,
} from './logger.ts'
export { createMac } from './mac.ts'
export { measurePool } from './measure-pool.ts'
export { Counter, createMetrics, Gauge, Histogram, type Metrics } from './metrics.ts'
export { tryDatabase } from './migration-client.ts'
export { applyMigrations } from './migrations.ts'
export { networkOf } from './networks.ts'
export { createOperationCaller, type OperationCall } from './operation-caller.ts'
export {
  answerOperations,
  answerStarting,
  type Notes,
  type Observed,
  operationsSettings,
  requireMetricsReader,
} from './operations.ts'
export { originOf } from './origin.ts'
export {
  badCursor,
  fitPage,
  numberAfter,
  type Page,
  type PageRequest,
  pageBytes,
  readPage,
  timeAndIdAfter,
  toPage,
} from './page.ts'
export { type Actor, actorOf, berth, madeBy, ownerOf, type Principal } from './principal.ts'
export { badField, notFound, Problem, problemBody, problemFrom, problemMediaType, reasonOf } from './problem.ts'
export { requestIdOf } from './request-id.ts'
export { type Resealed, resealAll, type SealedColumns } from './reseal.ts'
export { textBytesFunction } from './schema-parts.ts'
export { createSealer, type Sealer } from './seal.ts'
export { withoutSecrets } from './secret-values.ts'
export { secretsSettings, withSecretsKey } from './secrets-key.ts'
export { beginStream, heartbeatMs } from './server-sent.ts'
export {
  closeServer,
  listen,
  listenSettings,
  runAlone,
  runUntilSignal,
  type Service,
  type ServiceParts,
} from './service.ts'
export {
  deriveSecret,
  keyIdOf,
  makeServicePrivateKey,
  publicKeysOf,
  readServicePrivateKey,
  requireKnownKey,
  type ServicePublicKeys,
  servicePrivateKey,
  servicePublicKeys,
  sharedSecret,
  writePublicKeys,
} from './service-keys.ts'
export { clearedSessionCookie, csrfTokenOf, sessionCookie, sessionSecretIn } from './session-cookie.ts'
export { withoutFilesOf } from './setting-files.ts'
export { createSignal, type Signal } from './signal.ts'
export { usualPatience } from './slow-client.ts'
export type { Sql } from './sql.ts'
export { StartupError } from './startup-error.ts'
export { isStorable } from './storable-text.ts'
export { openTls, type Tls, type TlsPair, tlsSettings } from './tls.ts'
export { startTraces, traceSettings } from './traces.ts'
export { isUuid } from './uuid.ts'
export { version } from './version.ts'
export { withoutMessages } from './without-messages.ts'
