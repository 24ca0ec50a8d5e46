import { type AuditEntry, clientAddress } from '@berth/service'
import type { NamedExchange } from './exchange.ts'

/** What the audit trail is told of a change by `/v2`; `detail` is the tag or digest that the request named. */
export function auditEntryOf(
  { request, requestId, caller, basePath }: NamedExchange,
  action: string,
  detail: string,
): AuditEntry {
  return {
    action,
    actor: caller.actor,
    object: { kind: 'repository', id: null, name: basePath },
    detail,
    address: clientAddress(request),
    requestId,
  }
}
