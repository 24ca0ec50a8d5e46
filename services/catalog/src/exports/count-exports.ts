import { Counter, type Metrics } from '@berth/service'

/** Counts how exports end. */
export type ExportCounts = { ended(result: 'completed' | 'failed' | 'cancelled', bytes?: number): void }

/** Makes the metrics of exports. */
export function countExports({ registry }: Pick<Metrics, 'registry'>): ExportCounts {
  const exports = new Counter({
    name: 'berth_exports_total',
    help: 'Exports that ended here.',
    labelNames: ['result'],
    registers: [registry],
  })
  const carried = new Counter({
    name: 'berth_exported_bytes_total',
    help: 'Bytes of manifests and blobs that exports carry.',
    registers: [registry],
  })
  return {
    ended: (result, bytes = 0) => {
      exports.inc({ result })
      carried.inc(bytes)
    },
  }
}
