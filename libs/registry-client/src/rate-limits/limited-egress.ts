import type { Answer, Egress } from '../egress/egress.ts'
import { readLimitNotice } from '../egress/limit-notice.ts'
import type { Caller, HostGates } from './host-gates.ts'

/** An egress whose requests wait where a host wants to be left alone, and that heeds what hosts say about it. */
export function limitedEgress(egress: Egress, gates: HostGates, caller: Caller): Egress {
  return {
    isClosed: () => egress.isClosed(),
    close: () => egress.close(),
    send: async (outgoing) => {
      const { host } = outgoing.url
      const leave = await gates.enter(host, caller, outgoing.signal)
      let answer: Answer | undefined
      try {
        answer = await egress.send(outgoing)
        return answer
      } finally {
        // What another host said, that we were redirected to, is not about this one.
        const isOwn = answer?.url.host === host
        leave({ answered: isOwn, notice: answer && isOwn ? readLimitNotice(answer.status, answer.headers) : undefined })
      }
    },
  }
}
