/** How much a context may unpack to. */
export type ContextLimits = { bytes: number; files: number }

/** What compresses better than this is made to fill disks: text comes to a tenth, logs to a hundredth. */
export const mostRatio = 200
/** So much is let through before the ratio counts: of a short text it says nothing. */
export const ratioFromBytes = 8 << 20
export const mostPathBytes = 4096
export const mostNameBytes = 255
/** Of one entry's extended headers together: a long path, and not a store of attributes. */
export const mostHeaderBytes = 64 << 10
