import { asDigest } from '@berth/oci'

/** A gzipped tar without files: what steps that changed no file have for a layer in schema 1. Clients know it by its digest. */
export const emptyLayer = {
  digest: asDigest('sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4'),
  bytes: Buffer.from('H4sIAAAJbogA/2IYBaNgFIxYAAgAAP//Lq+17wAEAAA=', 'base64'),
}
