import { absent, at, distribution, noId, of, type Rows, repository, type Things } from './row.ts'

/** What catalog answers. */
export const catalogRows: Rows = {
  // catalog: repositories
  listRepositories: { needs: 'everybody', send: of('GET', at('/repositories')) },
  createRepository: { needs: 'pusher', send: of('POST', at('/repositories'), ({ fresh }) => ({ name: fresh })) },
  showRepository: { needs: 'puller', send: of('GET', repository()) },
  updateRepository: { needs: 'maintainer', send: of('PATCH', repository(), () => ({ description: 'x' })) },
  deleteRepository: { needs: 'owner', send: of('DELETE', repository()) },
  rebuildRepository: { needs: 'admin', send: of('POST', repository('/rebuild')) },
  listVersions: { needs: 'puller', send: of('GET', repository('/versions')) },
  showVersion: { needs: 'puller', send: of('GET', repository('/versions/0')) },
  deleteVersion: { needs: 'maintainer', send: of('DELETE', repository('/versions/99')) },
  diffVersions: { needs: 'puller', send: of('GET', repository('/versions/0/diff?to=0')) },
  listVersionContent: { needs: 'puller', send: of('GET', repository('/versions/0/content')) },
  modifyRepository: [
    { needs: 'pusher', send: of('POST', repository('/modify'), () => ({ dryRun: true, add: [{ digest: absent }] })) },
    {
      part: 'what is taken out',
      needs: 'maintainer',
      send: of('POST', repository('/modify'), () => ({ dryRun: true, remove: [{ tag: 'none' }] })),
    },
  ],
  copyIntoRepository: {
    needs: 'pusher',
    send: of('POST', repository('/copy'), (things) => ({ dryRun: true, from: { repository: things.repository } })),
  },
  listTags: { needs: 'puller', send: of('GET', repository('/tags')) },
  setTag: { needs: 'pusher', send: of('PUT', repository('/tags/none'), () => ({ digest: absent })) },
  deleteTag: { needs: 'maintainer', send: of('DELETE', repository('/tags/none')) },
  listTagHistory: { needs: 'puller', send: of('GET', repository('/tags/none/history')) },
  showTagAt: { needs: 'puller', send: of('GET', repository('/tags/none/at?time=2026-11-29T12:00:00Z')) },
  rollBackRepository: { needs: 'maintainer', send: of('POST', repository('/rollback'), () => ({ version: 99 })) },
  applyRetention: { needs: 'maintainer', send: of('POST', repository('/retention'), () => ({ dryRun: true })) },
  // catalog: namespaces
  listNamespaces: { needs: 'everybody', send: of('GET', at('/namespaces')) },
  createNamespace: {
    needs: 'admin',
    send: of('POST', at('/namespaces'), ({ fresh }) => ({ name: fresh.replace('/', '-') })),
  },
  showNamespace: { needs: 'puller', send: of('GET', ({ namespace }) => `/namespaces/${namespace}`) },
  updateNamespace: [
    {
      needs: 'owner',
      send: of(
        'PATCH',
        ({ namespace }) => `/namespaces/${namespace}`,
        () => ({ labels: {} }),
      ),
    },
    {
      part: 'its quota',
      needs: 'admin',
      send: of(
        'PATCH',
        ({ namespace }) => `/namespaces/${namespace}`,
        () => ({ quotaBytes: null }),
      ),
    },
    {
      part: 'its access',
      needs: 'owner',
      send: of(
        'PATCH',
        ({ namespace }) => `/namespaces/${namespace}`,
        () => ({ defaultAccess: 'public' }),
      ),
    },
  ],
  deleteNamespace: { needs: 'owner', send: of('DELETE', ({ namespace }) => `/namespaces/${namespace}`) },
  // catalog: distributions
  listDistributions: { needs: 'everybody', send: of('GET', at('/distributions')) },
  createDistribution: [
    {
      needs: 'maintainer',
      send: of('POST', at('/distributions'), ({ fresh, repository: name }) => ({
        name: fresh,
        basePath: fresh,
        repository: name,
      })),
    },
    {
      part: 'one that is public',
      needs: 'owner',
      send: of('POST', at('/distributions'), ({ fresh, repository: name }) => ({
        name: fresh,
        basePath: fresh,
        repository: name,
        access: 'public',
      })),
    },
  ],
  showDistribution: { needs: 'puller', send: of('GET', distribution) },
  updateDistribution: [
    { needs: 'maintainer', send: of('PATCH', distribution, () => ({ warning: 'x' })) },
    { part: 'to public', needs: 'owner', send: of('PATCH', distribution, () => ({ access: 'public' })) },
  ],
  deleteDistribution: { needs: 'owner', send: of('DELETE', distribution) },
  listDistributionHistory: { needs: 'puller', send: of('GET', (things) => `${distribution(things)}/history`) },
  showDistributionAt: {
    needs: 'puller',
    send: of('GET', (things) => `${distribution(things)}/at?time=2100-01-01T00:00:00Z`),
  },
  // catalog: exports
  listExports: { needs: 'everybody', send: of('GET', at('/exports')) },
  createExport: [
    {
      needs: 'puller',
      send: of('POST', at('/exports'), ({ repository: name }) => ({
        repositories: [{ name }],
        to: { kind: 'download' },
      })),
    },
    ...['directory', 'bucket'].map((kind) => ({
      part: `into a ${kind}`,
      needs: 'admin' as const,
      send: of('POST', at('/exports'), ({ repository: name, fresh }: Things) => ({
        repositories: [{ name }],
        to: { kind, path: fresh },
      })),
    })),
  ],
  showExport: { needs: 'everybody', send: of('GET', at(`/exports/${noId}`)) },
  deleteExport: { needs: 'everybody', send: of('DELETE', at(`/exports/${noId}`)) },
  downloadExport: { needs: 'everybody', send: of('GET', at(`/exports/${noId}/download`)) },
  downloadExportPart: { needs: 'everybody', send: of('GET', at(`/exports/${noId}/parts/0`)) },
  showExportChecksums: { needs: 'everybody', send: of('GET', at(`/exports/${noId}/checksums`)) },
  writeStaticMirror: {
    needs: 'admin',
    send: of('POST', at('/mirrors/static'), ({ repository: name }) => ({
      repositories: [{ name }],
      directory: 'mirror',
      includePrivate: true,
      dryRun: true,
    })),
  },
  // catalog: imports
  listImports: { needs: 'everybody', send: of('GET', at('/imports')) },
  createImport: [
    { needs: 'pusher', send: of('POST', at('/imports'), () => ({ from: { kind: 'upload' } })) },
    {
      part: 'directory',
      needs: 'admin',
      send: of('POST', at('/imports'), ({ fresh: path }) => ({ from: { kind: 'directory', path } })),
    },
  ],
  showImport: { needs: 'everybody', send: of('GET', at(`/imports/${noId}`)) },
  deleteImport: { needs: 'everybody', send: of('DELETE', at(`/imports/${noId}`)) },
  showImportPart: { needs: 'everybody', send: of('GET', at(`/imports/${noId}/parts/0`)) },
  uploadImportPart: { needs: 'everybody', send: of('PATCH', at(`/imports/${noId}/parts/0`)) },
  dropImportPart: { needs: 'everybody', send: of('DELETE', at(`/imports/${noId}/parts/0`)) },
  planImport: { needs: 'everybody', send: of('POST', at(`/imports/${noId}/plan`), () => ({})) },
  verifyImport: { needs: 'everybody', send: of('POST', at(`/imports/${noId}/verify`)) },
  applyImport: { needs: 'everybody', send: of('POST', at(`/imports/${noId}/apply`), () => ({})) },
  // catalog: the store
  showStore: { needs: 'admin', send: of('GET', at('/store')) },
  listStoreRepositories: { needs: 'admin', send: of('GET', at('/store/repositories')) },
  collectStore: { needs: 'admin', send: of('POST', at('/store/gc'), () => ({ dryRun: true })) },
  listStoreCandidates: { needs: 'admin', send: of('GET', at('/store/gc/plan')) },
  listStoreRuns: { needs: 'admin', send: of('GET', at('/store/gc/runs')) },
  scrubStore: { needs: 'admin', send: of('POST', at('/store/scrub'), () => ({})) },
  repairStore: { needs: 'admin', send: of('POST', at('/store/repair'), () => ({})) },
  applyAllRetention: { needs: 'admin', send: of('POST', at('/store/retention')) },
  reclaimStore: { needs: 'admin', send: of('POST', at('/store/reclaim'), () => ({})) },
  listStoreDamage: { needs: 'admin', send: of('GET', at('/store/damage')) },
  explainDigest: { needs: 'admin', send: of('GET', at(`/store/explain/${absent}`)) },
}
