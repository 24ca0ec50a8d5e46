import { Counter, Histogram, type Metrics } from '@berth/service'
import { BlobStoreError } from './store/errors.ts'
import type { BlobStore } from './store/store.ts'

/** `ended`: for a reason that is not the store's, as a client that leaves or bytes of another digest. */
type Result = 'ok' | 'failed' | 'ended'

// What a client or a full disk is told by its own answer, and says nothing about whether the store works.
const notItsFault = new Set(['below_reserve', 'busy', 'conflict', 'missing_part', 'reader_left'])

/** The store itself, which says how long it takes and how often it fails. Of several in a process only one is measured. */
export function measured(
  store: BlobStore,
  driver: 'directory' | 's3',
  { registry }: Pick<Metrics, 'registry'>,
): BlobStore {
  const durations = new Histogram({
    name: 'berth_storage_op_duration_seconds',
    help: 'Time that the blob store takes for what it is asked.',
    labelNames: ['driver', 'op', 'result'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
    registers: [registry],
  })
  const written = new Counter({
    name: 'berth_storage_written_bytes_total',
    help: 'Bytes that the blob store has taken, of uploads and of what is fetched.',
    registers: [registry],
  })
  // Finding a series by its labels costs more than counting.
  const series = new Map<string, { observe(seconds: number): void }>()
  const seriesOf = (op: string, result: Result) => {
    const name = `${op} ${result}`
    const known = series.get(name) ?? durations.labels({ driver, op, result })
    series.set(name, known)
    return known
  }
  const timed = async <T>(op: string, work: () => Promise<T>): Promise<T> => {
    const startedAt = performance.now()
    const tell = (result: Result) => seriesOf(op, result).observe((performance.now() - startedAt) / 1_000)
    try {
      const answer = await work()
      tell('ok')
      return answer
    } catch (error) {
      tell(error instanceof BlobStoreError && !notItsFault.has(error.code) ? 'failed' : 'ended')
      throw error
    }
  }
  const counted = async <T extends { sizeBytes: number }>(op: string, work: () => Promise<T>): Promise<T> => {
    const stored = await timed(op, work)
    written.inc(stored.sizeBytes)
    return stored
  }
  return {
    ...store,
    stat: (key) => timed('stat', () => store.stat(key)),
    open: (...how) => timed('open', () => store.open(...how)),
    write: (...how) => counted('write', () => store.write(...how)),
    writePart: (...how) => counted('write-part', () => store.writePart(...how)),
    writeTransfer: (...how) => counted('write-transfer', () => store.writeTransfer(...how)),
    publish: (...how) => timed('publish', () => store.publish(...how)),
    remove: (key) => timed('remove', () => store.remove(key)),
  }
}
