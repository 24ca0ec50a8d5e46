import { chunksOf, freshBlob, staged } from '../contract/subject.ts'
import { createFileSystemStore } from './store.ts'

// Run under strace, which makes every fsync or fdatasync fail: tells of each write how it failed and whether it can be
// seen. The root was checked before, by a process whose disk worked.
const store = createFileSystemStore({ root: String(process.argv[2]) })
const tell = (line: string) => process.stdout.write(`${line}\n`)

for (const [name, sizeBytes] of [
  ['small', 0],
  ['large', 40 << 20],
] as const) {
  const { bytes, key } = freshBlob(sizeBytes)
  const outcome = await store.write(key, chunksOf(bytes)).then(
    () => 'written',
    (error: { code: string }) => error.code,
  )
  const seen = await store.stat(key)
  tell(`${name} ${outcome} ${seen ? 'visible' : 'absent'}`)
}
tell(`staged ${(await staged(store)).length}`)
await store.close()
