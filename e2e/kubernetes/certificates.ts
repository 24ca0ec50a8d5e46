import { makeSelfSigned, makeSigned } from '@berth/service/testing'
import { serviceNames } from '@berth/standalone/origin'
import type { Cluster } from './cluster.ts'
import { namespace, release } from './release.ts'

/**
 * Makes an authority, and of it the certificates that services show each other, as secrets; answers the values for the chart. They are
 * good for an hour.
 */
export async function makeCertificates(cluster: Cluster): Promise<object> {
  const authority = makeSelfSigned('authority')
  const text = (bytes: Buffer) => bytes.toString('base64')
  const secrets = serviceNames.map((service) => {
    const { cert, key } = makeSigned([`${release}-berth-${service}`], 'authority', authority)
    return {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: { name: `${service}-tls`, namespace },
      data: { 'tls.crt': text(cert), 'tls.key': text(key), 'ca.crt': text(authority.cert) },
    }
  })
  await cluster.apply(...secrets)
  const existingSecrets = Object.fromEntries(serviceNames.map((service) => [service, `${service}-tls`]))
  return { internalTLS: { enabled: true, existingSecrets } }
}
