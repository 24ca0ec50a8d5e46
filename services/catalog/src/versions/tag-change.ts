/** What a version does to a tag: without `from` it is new, without `to` it is gone. */
export type TagChange = { tag: string; from?: string; to?: string }
