import { blobOf, newImage, Pusher } from './content.ts'
import type { Subject } from './subjects.ts'

// As many as Berth takes in one request.
export const tagsPerRequest = 46
const fillers = 4
const namesPerToken = 40

/** Names that sort by their number. */
export function tagName(i: number): string {
  return `tag-${String(i).padStart(7, '0')}`
}

/** Fills a repository with tags of one image, through the front door. */
export async function fillTags(berth: Subject, repository: string, count: number): Promise<void> {
  const pusher = new Pusher(berth, repository)
  try {
    await pusher.login()
    const image = newImage(1, 1_024)
    await pusher.pushImage(image, tagName(0))
    for (let first = 1; first < count; first += tagsPerRequest) {
      const wanted = Math.min(tagsPerRequest, count - first)
      const tags = Array.from({ length: wanted }, (_, i) => `tag=${tagName(first + i)}`)
      await pusher.pushManifest(image, `${image.manifest.digest}?${tags.join('&')}`)
    }
  } finally {
    pusher.close()
  }
}

/** Makes repositories by mounting one blob into each, as a first push does. */
export async function fillRepositories(berth: Subject, prefix: string, count: number): Promise<void> {
  const source = `${prefix}/source`
  const blob = blobOf(Buffer.from('a blob of many repositories'))
  const names = Array.from({ length: count }, (_, i) => `${prefix}/${String(i).padStart(6, '0')}`)
  const pusher = new Pusher(berth, source)
  await pusher.login()
  await pusher.pushBlob(blob)
  pusher.close()
  const fill = async () => {
    for (let batch = names.splice(0, namesPerToken); batch.length > 0; batch = names.splice(0, namesPerToken)) {
      const filler = new Pusher(berth, source)
      await filler.loginFor([source, ...batch])
      for (const name of batch) await filler.mountBlob(blob, name)
      filler.close()
    }
  }
  await Promise.all(Array.from({ length: fillers }, fill))
}
