import { createSignal } from '@berth/service'

/** Raised where bytes came back under another generation, or went, so that registry is to hear of it. */
export const blobsHealed = createSignal('blobs healed')
