import { checkRequiredSignatures } from '@berth/commands'
import { badField } from '@berth/service'
import type { SignaturePolicy } from '../fields.ts'
import { checkAddress } from './url.ts'

/** Checks what signatures a remote requires, and that its keys can be read. Throws 400. */
export function checkSignatures({ sigstore, ...required }: SignaturePolicy, allowPrivate: boolean): void {
  checkRequiredSignatures(required)
  if (sigstore === undefined) return
  const remedy = 'Leave them away: signatures are read without a login.'
  const { search, hash } = checkAddress('signatures.sigstore', sigstore, allowPrivate, remedy)
  if (search || hash)
    throw badField('signatures.sigstore', 'names more than a folder', 'Leave away what begins with "?" or "#".')
}
