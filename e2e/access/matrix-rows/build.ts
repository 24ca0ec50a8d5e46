import { at, noId, of, type Rows } from './row.ts'

/** What build answers. */
export const buildRows: Rows = {
  // build
  listBuilds: { needs: 'admin', send: of('GET', at('/builds')) },
  showBuild: { needs: 'admin', send: of('GET', at(`/builds/${noId}`)) },
}
