import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { badField } from '@berth/service'
import type { Held, RemoteBody } from '../fields.ts'

/** Checks whom the remote trusts, and how it shows who it is. Throws 400. */
export function checkCertificates(remote: RemoteBody, url: URL, held: Held): void {
  const { caCert, clientCert } = remote
  const remedy = 'It begins with -----BEGIN CERTIFICATE-----.'
  if (typeof caCert === 'string' && readCertificates(caCert).length === 0)
    throw badField('caCert', 'is not a certificate in PEM form', remedy)
  if (url.protocol === 'http:' && caCert) throw badField('caCert', 'has no use for a URL that begins with http://')
  const [own] = clientCert ? readCertificates(clientCert) : []
  if (typeof clientCert === 'string' && !own) throw badField('clientCert', 'is not a certificate in PEM form', remedy)
  if (own && !held.has('clientKey'))
    throw badField('clientKey', 'is missing while clientCert is given', 'Send both, or neither.')
  if (!own && held.has('clientKey'))
    throw badField('clientCert', 'is missing while clientKey is given', 'Send both, or neither.')
  if (url.protocol === 'http:' && own)
    throw badField('clientCert', 'has no use for a URL that begins with http://', 'Use https://, or leave it away.')
  if (own && held.clientKey && !own.checkPrivateKey(readKey(held.clientKey)))
    throw badField('clientKey', 'does not belong to clientCert', 'Send the key that the certificate was made for.')
}

/** The certificates of a text; none when there is none, or one of them cannot be read. */
function readCertificates(text: string): X509Certificate[] {
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  try {
    return found.map((pem) => new X509Certificate(pem))
  } catch {
    // OpenSSL says no more than that it is none
    return []
  }
}

function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch {
    // what OpenSSL says may hold parts of the key
    const isLocked = /ENCRYPTED/.test(pem)
    throw badField(
      'clientKey',
      isLocked ? 'has a passphrase' : 'is not a private key in PEM form',
      isLocked ? 'Send it without one: it is sealed here.' : 'It begins with -----BEGIN PRIVATE KEY-----.',
    )
  }
}
