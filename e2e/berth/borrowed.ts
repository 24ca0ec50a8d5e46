import { statSync } from 'node:fs'
import { askBerth, type Berth, type BerthPlace } from './berth.ts'
import { emptyBerth } from './empty-berth.ts'

// The one of this worker of jest, so that only one file at a time has it (e2e/servers/lender.ts).
const lender = () => `${process.env.BERTH_TEST_LENDER}/berths/${process.env.JEST_WORKER_ID}`

/** The Berth that the files of this worker use one after another. */
export async function borrowBerth(): Promise<Berth> {
  const answer = await fetch(lender())
  if (!answer.ok) throw new Error(await answer.text())
  const place = (await answer.json()) as BerthPlace
  const { size } = statSync(place.output)
  return { ...place, host: `localhost:${place.port}`, user: 'admin', ...askBerth(() => place, size) }
}

/** Takes away what a file has made. A Berth that does not let go of it is ended, so that it harms no other file. */
export async function giveBackBerth(berth: Berth): Promise<void> {
  try {
    await emptyBerth(berth)
  } catch (cause) {
    await fetch(lender(), { method: 'DELETE' })
    throw new Error('this file leaves a Berth that others could not use', { cause })
  }
}
