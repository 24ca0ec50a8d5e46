import { decide } from '@berth/access'
import type { Principal } from '@berth/service'
import type { Export } from './export-row.ts'

/** An export is seen by who asked for it, and by administrators. */
export function maySee({ id, rights }: Principal, { createdById }: Pick<Export, 'createdById'>): boolean {
  return (createdById !== null && createdById === id) || isAdministrator({ rights })
}

/** Whether somebody may have things written outside of what Berth keeps. */
export function isAdministrator({ rights }: Pick<Principal, 'rights'>): boolean {
  return decide(rights, 'administer', { kind: 'settings', name: '' }).allowed
}
