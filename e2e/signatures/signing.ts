import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { blobOf, type Image, type MisbehavingUpstream, manifestOf } from '@berth/registry-client/misbehaving-upstream'

export const oci = 'application/vnd.oci.image.manifest.v1+json'
export const emptyConfig = blobOf(Buffer.from('{}'))
export const describeBlob = (mediaType: string, { digest, bytes }: { digest: string; bytes: Buffer }) => ({
  mediaType,
  digest,
  size: bytes.length,
})
/** A key pair as cosign makes them. */
export const newKey = (curve = 'P-256') => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: curve })
  return { publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(), privateKey }
}

type Signing = { repository: string; image: Image; key: KeyObject; about?: string }

/** Signs as cosign does: a companion tag upstream whose layer says what is signed. */
export function cosign(
  upstream: MisbehavingUpstream,
  { repository, image, key, about = image.manifest.digest }: Signing,
): void {
  const payload = blobOf(
    Buffer.from(
      JSON.stringify({
        critical: {
          identity: { 'docker-reference': '' },
          image: { 'docker-manifest-digest': about },
          type: 'cosign container image signature',
        },
        optional: null,
      }),
    ),
  )
  const signature = sign('sha256', payload.bytes, key).toString('base64')
  const layer = {
    ...describeBlob('application/vnd.dev.cosign.simplesigning.v1+json', payload),
    annotations: { 'dev.cosignproject.cosign/signature': signature },
  }
  const config = describeBlob('application/vnd.oci.image.config.v1+json', emptyConfig)
  const manifest = manifestOf({ schemaVersion: 2, mediaType: oci, config, layers: [layer] } as { mediaType: string })
  const tag = `${image.manifest.digest.replace(':', '-')}.sig`
  upstream.add(repository, tag, { manifest, config: emptyConfig, layers: [payload] })
}
