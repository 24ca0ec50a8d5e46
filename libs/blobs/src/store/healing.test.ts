import { Readable } from 'node:stream'
import { asDigest } from '@berth/oci'
import { expect, test } from '@jest/globals'
import { createHealing } from './healing.ts'
import type { HealingReport, OpenBlob } from './store.ts'

const key = { digest: asDigest(`sha256:${'a'.repeat(64)}`), generation: 1 }

/** A blob on a disk that does not give its bytes. */
function unreadable(): OpenBlob {
  return {
    sizeBytes: 3,
    stream: () =>
      new Readable({
        read() {
          this.destroy(Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' }))
        },
      }),
    lend: () => {
      throw new Error('nobody asks for that here')
    },
    sendTo: () => Promise.reject(new Error('nobody asks for that here')),
    close: async () => undefined,
  }
}

test('a blob that its disk no longer gives is replaced by what is pushed, as one with wrong bytes is', async () => {
  const replaced: string[] = []
  const heard: HealingReport[] = []
  const healing = createHealing({
    open: async () => unreadable(),
    replace: async (staged) => replaced.push(staged),
    discard: async () => undefined,
    hear: (report) => heard.push(report),
  })
  await healing.keep({ staged: 'pushed', key, sizeBytes: 3 })
  await healing.idle()
  expect(replaced).toEqual(['pushed'])
  expect(heard).toEqual([{ digest: key.digest, healed: true }])
  await healing.close()
})
