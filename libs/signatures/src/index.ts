export { companionStem, companionSubject, companionTagOf } from './companion-tags.ts'
export type { Referring, SignatureSource } from './find-signatures.ts'
export { type Requirement, requireSignature } from './require-signature.ts'
export { speaksOnly } from './speaks-only.ts'
