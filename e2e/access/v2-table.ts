import type { Route } from '@berth/oci'
import type { Role } from './matrix-table.ts'

/** What a path under `/v2` can name content by. */
export type Content = { tag: string; digest: string; layer: string; session: string }
export type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'
export const methods: readonly Method[] = ['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE']

/**
 * The paths of one kind of route, one for each way to name what it is about, and the least role on the namespace that each of its
 * methods takes. A method that is not here is none of this route.
 */
export type V2Row = {
  ways: Record<string, (name: string, content: Content) => string>
  needs: Partial<Record<Method, Role>>
}

const reading = { GET: 'puller', HEAD: 'puller' } as const

/** Every route of `/v2` that has a name, written from docs/reference/access.md and not from the code. */
export const v2Table: Record<Exclude<Route['kind'], 'ping' | 'catalog'>, V2Row> = {
  manifest: {
    ways: {
      tag: (name, { tag }) => `/v2/${name}/manifests/${tag}`,
      digest: (name, { digest }) => `/v2/${name}/manifests/${digest}`,
    },
    needs: { ...reading, PUT: 'pusher', DELETE: 'maintainer' },
  },
  blob: {
    ways: { digest: (name, { layer }) => `/v2/${name}/blobs/${layer}` },
    needs: { ...reading, DELETE: 'maintainer' },
  },
  uploads: {
    ways: {
      name: (name) => `/v2/${name}/blobs/uploads/`,
      'the digest of a mount': (name, { layer }) => `/v2/${name}/blobs/uploads/?mount=${layer}&from=${name}`,
    },
    needs: { POST: 'pusher' },
  },
  upload: {
    ways: { session: (name, { session }) => `/v2/${name}/blobs/uploads/${session}` },
    needs: { GET: 'pusher', HEAD: 'pusher', PATCH: 'pusher', PUT: 'pusher', DELETE: 'pusher' },
  },
  tags: { ways: { name: (name) => `/v2/${name}/tags/list` }, needs: reading },
  referrers: { ways: { digest: (name, { digest }) => `/v2/${name}/referrers/${digest}` }, needs: reading },
  signatures: {
    ways: { digest: (name, { digest }) => `/extensions/v2/${name}/signatures/${digest}` },
    needs: { ...reading, PUT: 'pusher' },
  },
}
