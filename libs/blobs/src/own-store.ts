import { type ConfigOf, optionalText, type Service, type ServiceParts } from '@berth/service'
import { journalOf } from './journal-of.ts'
import { blobSettings, logHealing, openBlobStore } from './open.ts'
import type { BlobStore } from './store/store.ts'

/** What a service that is a process of its own reads of the blob store. */
export const ownStoreSettings = {
  ...blobSettings,
  /** `<pid>.<home>` of the stack that starts it, where that wants journals; set by no operator. */
  stackJournal: optionalText('BERTH_STACK_JOURNAL'),
}

/**
 * Makes a service that is a process of its own, with the blob store that its settings name, which is closed behind it. It keeps a journal
 * only where a stack has started it: that replays the journal when the process is gone, and holds the lock of its home, so that
 * there is one process of that name. Who has inherited the variable by other ways has another parent.
 */
export async function withOwnStore(
  name: string,
  config: Partial<ConfigOf<typeof ownStoreSettings>>,
  parts: ServiceParts,
  create: (blobs: BlobStore) => Service,
): Promise<Service> {
  const { log, metrics } = parts
  const [pid, home] = config.stackJournal?.split('.') ?? []
  const journal = Number(pid) === process.ppid ? journalOf(`${home}.${name}`, log) : undefined
  const blobs = await openBlobStore(config, logHealing(log), { metrics, journal })
  const service = create(blobs)
  return {
    ...service,
    stop: async () => {
      await service.stop()
      await blobs.close()
    },
  }
}
