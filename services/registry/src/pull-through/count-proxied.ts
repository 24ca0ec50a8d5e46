import { Counter, type Metrics } from '@berth/service'

/**
 * How a pull below a pull-through distribution was answered: with what is here, with what was fetched for it (or with
 * upstream's word that there is none), with what is here because upstream could not be asked, or not at all.
 */
export type ProxyResult = 'hit' | 'miss' | 'stale' | 'error'

/** Makes the counter of what is pulled through. */
export function countProxied({ registry }: Pick<Metrics, 'registry'>): (result: ProxyResult) => void {
  const requests = new Counter({
    name: 'berth_proxy_requests_total',
    help: 'Pulls of manifests, blobs and referrers below pull-through distributions, by how they were answered.',
    labelNames: ['result'],
    registers: [registry],
  })
  return (result) => requests.inc({ result })
}
