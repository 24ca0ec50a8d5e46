import { createPublicKey } from 'node:crypto'
import { badField } from '@berth/service'

type SignatureKey = { type: 'cosign' | 'gpg'; name: string; publicKey: string }
/** Whose signatures content must have: one of these keys', where they are required. */
export type RequiredSignatures = { require: boolean; keys: SignatureKey[] }

/** Checks that the keys can be read, and that there is one where signatures are required. Throws 400 that names the field. */
export function checkRequiredSignatures({ require, keys }: RequiredSignatures): void {
  if (require && keys.length === 0)
    throw badField('signatures.keys', 'names no key while signatures are required', 'Send at least one key.')
  const names = new Set<string>()
  keys.forEach((key, i) => {
    const field = `signatures.keys[${i}]`
    if (names.has(key.name)) throw badField(`${field}.name`, `"${key.name}" is there twice`, 'Give each key its name.')
    names.add(key.name)
    checkKey(`${field}.publicKey`, key)
  })
}

function checkKey(field: string, { type, publicKey }: SignatureKey): void {
  if (type === 'cosign' && !isPublicKey(publicKey))
    throw badField(
      field,
      'is not a public key in PEM form',
      'Send the content of cosign.pub: -----BEGIN PUBLIC KEY-----.',
    )
  if (type === 'gpg' && !isPgpKey(publicKey))
    throw badField(field, 'is not an armored GPG public key', 'Make it with gpg --armor --export NAME.')
}

function isPublicKey(pem: string): boolean {
  // Without this a private key would do too: node takes the public part out of it.
  if (!pem.trimStart().startsWith('-----BEGIN PUBLIC KEY-----')) return false
  try {
    return ['ec', 'ed25519', 'rsa'].includes(createPublicKey(pem).asymmetricKeyType ?? '')
  } catch {
    // OpenSSL says no more than that it is none
    return false
  }
}

const armor =
  /^-----BEGIN PGP PUBLIC KEY BLOCK-----\n(?:[A-Za-z]+: [^\n]*\n)*\n((?:[A-Za-z0-9+/=]+\n)+)-----END PGP PUBLIC KEY BLOCK-----$/
const publicKeyPacket = 6

/** Whether it is an armored key whose first packet is a public key (RFC 9580 §6.2, §4.2). */
function isPgpKey(text: string): boolean {
  const body = armor.exec(text.trim().replaceAll('\r\n', '\n'))?.[1]
  const [first = 0] = Buffer.from(body ?? '', 'base64')
  const isPacket = (first & 0x80) !== 0
  const tag = first & 0x40 ? first & 0x3f : (first & 0x3c) >> 2
  return isPacket && tag === publicKeyPacket
}
