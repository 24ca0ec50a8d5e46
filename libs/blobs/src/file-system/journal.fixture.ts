import { once } from 'node:events'
import { chunksOf, freshBlob } from '../contract/subject.ts'
import { createFileSystemStore } from './store.ts'

// Writes small blobs with a journal, some at once, and tells of each when it is acknowledged and how it failed; and of the
// journal what it reports. Arguments: the root, the name of the journal, how many blobs (until it is killed), how many at once,
// and how many milliseconds a log lasts and rests.
const [root = '', owner = '', count = 'Infinity', width = '8', logMs = '60000'] = process.argv.slice(2)
const tell = (line: string) => process.stdout.write(`${line}\n`)
const store = createFileSystemStore({
  root,
  journal: {
    owner,
    hear: (report) => tell(`journal ${report.state}`),
    limits: { logMs: Number(logMs), restMs: Number(logMs), logBytes: 1 << 20 },
  },
})

// Not that of the strace around it.
tell(`pid ${process.pid}`)
let begun = 0
const writeSome = async () => {
  while (begun < Number(count)) {
    begun += 1
    const { bytes, key } = freshBlob(begun % 50 === 0 ? 100_000 : begun % 3_000)
    await store.write(key, chunksOf(bytes)).then(
      () => tell(`written ${key.digest} ${key.generation}`),
      (error: { code: string }) => tell(`failed ${error.code}`),
    )
  }
}
await Promise.all(Array.from({ length: Number(width) }, writeSome))
tell('done')
// Until the journal has come to an end of its own, or this is killed.
await once(process.stdin.resume(), 'end')
tell(`unready ${store.unready?.() ?? 'no'}`)
await store.close()
tell('closed')
