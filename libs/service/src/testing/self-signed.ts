import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import type { TlsPair } from '../tls.ts'

const hourMs = 3_600_000

/** DER (X.690): a tag, the length, the content. */
function der(tag: number, ...content: Uint8Array[]): Buffer {
  const body = Buffer.concat(content)
  return Buffer.concat([Buffer.from([tag, ...lengthOctets(body.length)]), body])
}

// In as few octets as it takes: Go refuses any other form.
function lengthOctets(length: number): number[] {
  if (length < 128) return [length]
  return length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
}

const sequence = (...content: Uint8Array[]) => der(0x30, ...content)
const oid = (...bytes: number[]) => der(0x06, Buffer.from(bytes))
const time = (at: number) => der(0x17, Buffer.from(`${new Date(at).toISOString().slice(2, 19).replace(/[-:T]/g, '')}Z`))
const extension = (id: Buffer, value: Buffer) => sequence(id, der(0x04, value))

const ecdsaWithSha256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02))
const commonName = oid(0x55, 0x04, 0x03)
const basicConstraints = oid(0x55, 0x1d, 0x13)
const alternativeName = oid(0x55, 0x1d, 0x11)

/** A new key and its own certificate for `localhost` and 127.0.0.1, good for an hour (RFC 5280 §4.1). */
export function makeSelfSigned(name: string): TlsPair {
  return makeCertificate(name, { addresses: [der(0x82, Buffer.from('localhost')), loopback] })
}

/** A new key and a certificate of an authority that `makeSelfSigned` made under `authority`: for host names, and for 127.0.0.1 where that is among them. */
export function makeSigned(hosts: readonly string[], authority: string, { key }: TlsPair): TlsPair {
  const addresses = hosts.map((host) => (host === '127.0.0.1' ? loopback : der(0x82, Buffer.from(host))))
  return makeCertificate(hosts[0] ?? '', { addresses, issuer: { name: authority, key } })
}

const loopback = der(0x87, Buffer.from([127, 0, 0, 1]))
const called = (name: string) => sequence(der(0x31, sequence(commonName, der(0x0c, Buffer.from(name)))))

function makeCertificate(
  name: string,
  { addresses, issuer }: { addresses: Buffer[]; issuer?: { name: string; key: Buffer } },
): TlsPair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const isAuthority = issuer === undefined
  const extensions = [
    extension(basicConstraints, isAuthority ? sequence(der(0x01, Buffer.from([0xff]))) : sequence()),
    extension(alternativeName, sequence(...addresses)),
  ]
  const serial = Buffer.concat([Buffer.from([0x01]), randomBytes(8)])
  const toSign = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    ecdsaWithSha256,
    called(issuer?.name ?? name),
    sequence(time(Date.now() - hourMs), time(Date.now() + hourMs)),
    called(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  )
  const signature = der(0x03, Buffer.from([0]), sign('sha256', toSign, issuer?.key ?? privateKey))
  const lines =
    sequence(toSign, ecdsaWithSha256, signature)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  const cert = Buffer.from(`-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`)
  return { cert, key: Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })) }
}
