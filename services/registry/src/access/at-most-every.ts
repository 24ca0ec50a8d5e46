/** Calls `work` at once, and then at most every so often: what is asked for in between is done at the end of the pause. */
export function atMostEvery(pauseMs: number, work: () => void): { call: () => void; stop: () => void } {
  let pause: NodeJS.Timeout | undefined
  let isWanted = false
  const rest = () => {
    pause = undefined
    if (isWanted) call()
  }
  const call = () => {
    isWanted = pause !== undefined
    if (pause) return
    pause = setTimeout(rest, pauseMs).unref()
    work()
  }
  return { call, stop: () => clearTimeout(pause) }
}
