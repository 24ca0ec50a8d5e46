import { mediaTypes } from '@berth/oci'
import {
  type Blob,
  blobOf,
  byLast,
  type Fault,
  imageOf,
  type Manifest,
  type MisbehavingUpstream,
  status,
  typed,
} from '@berth/registry-client/misbehaving-upstream'
import { oddLogins } from './odd-logins.ts'
import { type Odd, type OddTag, type OddUpstream, ordinary } from './odd-upstream.ts'

const descriptor = (mediaType: string, { digest, bytes }: Blob, more: object = {}) => {
  return { mediaType, digest, size: bytes.length, ...more }
}
const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'
const configType = 'application/vnd.oci.image.config.v1+json'
/** A manifest as its text is, which need not be one of Berth's own making. */
const written = (body: object, mediaType: string): Manifest => ({
  ...blobOf(Buffer.from(JSON.stringify(body))),
  mediaType,
})
const blobs = (repository: string, ...names: string[]) =>
  names.map((name) => blobOf(Buffer.from(`${repository} ${name} `.repeat(200))))

/** Puts a manifest with its blobs under the tag `odd`. */
function putOdd(upstream: MisbehavingUpstream, repository: string, manifest: Manifest, parts: readonly Blob[]): OddTag {
  upstream.addBlobs(repository, ...parts)
  upstream.addManifest(repository, manifest, 'odd')
  return { manifest, blobs: parts }
}

/** An image under the tag `odd` whose manifest is spoiled in its text. */
function spoiltImage(spoil: (body: Record<string, unknown>) => object, mediaType: string = mediaTypes.ociManifest) {
  return (upstream: MisbehavingUpstream, repository: string): Odd => {
    const [config, layer] = blobs(repository, 'config', 'layer') as [Blob, Blob]
    const body = {
      schemaVersion: 2,
      mediaType,
      config: descriptor(configType, config),
      layers: [descriptor(layerType, layer)],
    }
    const spoilt = spoil(body) as { layers?: unknown }
    const parts = Array.isArray(spoilt.layers) ? [config, layer] : [config]
    return { tags: { odd: putOdd(upstream, repository, written(spoilt, mediaType), parts) } }
  }
}

/** The referrers API answers so, and companion tags are as absent as they are. */
const withoutWord = (code: number): OddUpstream => ({
  name: `the referrers API answers ${code}`,
  report: 'https://github.com/sigstore/cosign/issues/2973',
  put: ordinary((upstream, repository) => upstream.when(new RegExp(`/${repository}/referrers/`), status(code)), {
    companionsUnknown: 1,
  }),
})

const asItself: Fault = ({ request, response, behave }) => {
  const [, hex] = /\/manifests\/sha256-([0-9a-f]{64})$/.exec(request.url ?? '') ?? []
  if (hex) response.writeHead(200, { 'docker-content-digest': `sha256:${hex}` }).end()
  else behave()
}

function cacheOfBuildKit(upstream: MisbehavingUpstream, repository: string): Odd {
  const [first, second, config] = blobs(repository, 'first', 'second', 'cache config') as [Blob, Blob, Blob]
  const manifests = [
    descriptor(layerType, first, { annotations: { 'buildkit/createdat': '2024-01-01T00:00:00Z' } }),
    descriptor(layerType, second),
    descriptor('application/vnd.buildkit.cacheconfig.v0', config),
  ]
  const cache = written({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }, mediaTypes.ociIndex)
  const tagged = putOdd(upstream, repository, cache, [first, second, config])
  const [own] = blobs(repository, 'own config') as [Blob]
  const image = written(
    {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: descriptor(configType, own),
      layers: [descriptor(layerType, first), descriptor(layerType, second)],
    },
    mediaTypes.ociManifest,
  )
  upstream.addBlobs(repository, own)
  upstream.addManifest(repository, image, 'ordinary')
  return { tags: { odd: tagged, ordinary: { manifest: image, blobs: [own, first, second] } } }
}

function entryWithoutType(upstream: MisbehavingUpstream, repository: string): Odd {
  const { manifest, config, layers } = imageOf(repository, 500)
  upstream.addBlobs(repository, config, ...layers)
  upstream.addManifest(repository, manifest)
  const manifests = [descriptor('application/octet-stream', manifest)]
  const index = written({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }, mediaTypes.ociIndex)
  return { tags: { odd: putOdd(upstream, repository, index, []) }, byDigest: [manifest] }
}

function fullPageWithoutLink(upstream: MisbehavingUpstream, repository: string): Odd {
  const image = imageOf(repository, 300)
  const names = Array.from({ length: 1_250 }, (_, i) => `v${String(i).padStart(4, '0')}`)
  upstream.add(repository, names, image)
  upstream.when(new RegExp(`/${repository}/tags/list`), byLast('tags', 1_000))
  const tag = { manifest: image.manifest, blobs: [image.config, ...image.layers] }
  return { tags: { v0000: tag, v1249: tag }, result: { tagsChecked: 1_250, listComplete: true } }
}

/** Registries that were met, each with what has to come from it. Data: who meets another one adds it here. */
export const oddUpstreams: readonly OddUpstream[] = [
  {
    name: 'a full page of tags comes without a link',
    report: 'https://github.com/opencontainers/distribution-spec/pull/470',
    put: fullPageWithoutLink,
  },
  {
    name: 'HEAD says 404 of a tag that is listed',
    report: 'https://github.com/andrey-pohilko/registry-cli/issues/43',
    put: ordinary((upstream, repository) =>
      upstream.when(new RegExp(`^HEAD /v2/${repository}/manifests/`), status(404)),
    ),
  },
  {
    name: 'a layer of foreign type has no urls',
    report: 'https://github.com/containers/skopeo/issues/545',
    put: spoiltImage((body) => {
      const [layer] = body.layers as [object]
      return {
        ...body,
        layers: [{ ...layer, mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' }],
      }
    }),
  },
  {
    name: 'a cache of BuildKit is an index of layers',
    report: 'https://github.com/go-gitea/gitea/issues/28973',
    put: cacheOfBuildKit,
  },
  {
    name: 'an index names a manifest by a type that is none',
    report: 'https://gitlab.com/gitlab-org/container-registry/-/issues/409',
    put: entryWithoutType,
  },
  {
    name: 'such a manifest can be had as a blob too',
    report: 'https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pulling-blobs',
    put: (upstream, repository) => {
      const odd = entryWithoutType(upstream, repository)
      upstream.addBlobs(repository, ...(odd.byDigest ?? []))
      return odd
    },
  },
  {
    name: 'layers are null',
    report: 'https://github.com/opencontainers/image-spec/pull/1016',
    put: spoiltImage((body) => ({ ...body, layers: null, subject: null, annotations: null })),
  },
  {
    name: 'an image has no layers at all',
    report: 'https://github.com/opencontainers/image-spec/issues/1025',
    put: spoiltImage((body) => ({ ...body, layers: undefined })),
  },
  {
    name: 'the manifests of an index are null',
    report: 'https://github.com/opencontainers/image-spec/pull/644',
    put: (upstream, repository) => {
      const body = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: null, annotations: { repository } }
      return { tags: { odd: putOdd(upstream, repository, written(body, mediaTypes.ociIndex), []) } }
    },
  },
  {
    name: 'an artifact manifest has no schemaVersion',
    report: 'https://github.com/opencontainers/image-spec/issues/1025',
    put: (upstream, repository) => {
      const [blob] = blobs(repository, 'artifact') as [Blob]
      const body = { mediaType: mediaTypes.ociArtifact, artifactType: 'x/y', blobs: [descriptor('x/y', blob)] }
      return { tags: { odd: putOdd(upstream, repository, written(body, mediaTypes.ociArtifact), [blob]) } }
    },
  },
  ...['text/plain', 'binary/octet-stream', 'text/html', 'Application/JSON; charset=utf-8'].map((type) => ({
    name: `manifests are served as ${type}`,
    report: 'https://github.com/goharbor/harbor/issues/7853',
    put: (upstream: MisbehavingUpstream, repository: string) => {
      const odd = spoiltImage((body) => ({ ...body, mediaType: undefined }))(upstream, repository)
      upstream.when(new RegExp(`/${repository}/manifests/(odd|sha256:)`), typed(type))
      return odd
    },
  })),
  ...[400, 401, 403, 405, 406, 500, 501].map(withoutWord),
  {
    name: 'a tag that is not there is forbidden',
    report: 'https://github.com/sigstore/cosign/issues/2973',
    put: ordinary(
      (upstream, repository) => upstream.when(new RegExp(`/${repository}/manifests/sha256-`), status(403)),
      { companionsUnknown: 1 },
      { includeTags: ['odd'] },
    ),
  },
  {
    name: 'a companion tag is taken for the digest in it',
    report: 'https://github.com/opencontainers/distribution-spec/pull/563',
    put: ordinary(
      (upstream, repository) => {
        upstream.when(new RegExp(`/${repository}/referrers/`), status(404))
        upstream.when(new RegExp(`/${repository}/manifests/sha256-`), asItself)
      },
      { tagCounts: { added: 1, moved: 0, removed: 0 } },
      { includeTags: ['odd'] },
    ),
  },
  {
    name: 'names in the list are no tags',
    report: 'https://github.com/containers/skopeo/issues/1740',
    put: ordinary(
      (upstream, repository) =>
        upstream.when(
          new RegExp(`/${repository}/tags/list`),
          status(200, {}, JSON.stringify({ tags: ['-ot-beta', 'a:b', 'odd', `sha256:${'a'.repeat(64)}`] })),
        ),
      { failureCount: 0, skippedNames: ['-ot-beta', 'a:b', `sha256:${'a'.repeat(64)}`] },
    ),
  },
  ...oddLogins,
  {
    name: 'an image names nine thousand layers',
    report: 'https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md',
    put: spoiltImage((body) => ({
      ...body,
      layers: Array.from({ length: 9_000 }, () => (body.layers as object[])[0]),
    })),
  },
]
