import { afterAll, beforeAll, describe } from '@jest/globals'
import { knownContract } from './known.ts'
import { partsContract } from './parts.ts'
import { readingContract } from './reading.ts'
import type { Subject } from './subject.ts'
import { transfersContract } from './transfers.ts'
import { writingContract } from './writing.ts'

/**
 * What every blob store must do; each driver's test runs all of it against real storage, or says why it cannot.
 */
export function blobStoreContract(name: string, start: () => Promise<Subject>, skippedBecause?: string): void {
  const group = skippedBecause === undefined ? describe : describe.skip
  group(skippedBecause === undefined ? name : `${name} (SKIPPED: ${skippedBecause})`, () => {
    let subject: Subject | undefined
    const current = () => {
      if (!subject) throw new Error('the store did not start')
      return subject
    }
    beforeAll(async () => {
      subject = await start()
      await subject.store.check()
    })
    afterAll(async () => {
      await subject?.close()
    })
    writingContract(current)
    knownContract(current)
    partsContract(current)
    readingContract(current)
    transfersContract(current)
  })
}
