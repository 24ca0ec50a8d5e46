import { at, noId, of, type Rows } from './row.ts'

/** What build answers. Builds are switched off here, which everybody who has logged in is told; who may build into what e2e/build tells. */
export const buildRows: Rows = {
  startBuild: { needs: 'everybody', send: of('POST', at('/builds')) },
  listBuilds: { needs: 'everybody', send: of('GET', at('/builds')) },
  showBuild: { needs: 'everybody', send: of('GET', at(`/builds/${noId}`)) },
  readBuildLog: { needs: 'everybody', send: of('GET', at(`/builds/${noId}/log`)) },
}
