import type { Route } from '@berth/oci'

/** The routes as traces name them. */
export const routePaths: Record<Route['kind'], string> = {
  ping: '/v2/',
  catalog: '/v2/_catalog',
  manifest: '/v2/{name}/manifests/{reference}',
  blob: '/v2/{name}/blobs/{digest}',
  uploads: '/v2/{name}/blobs/uploads/',
  upload: '/v2/{name}/blobs/uploads/{session}',
  tags: '/v2/{name}/tags/list',
  referrers: '/v2/{name}/referrers/{digest}',
  signatures: '/extensions/v2/{name}/signatures/{digest}',
}
