import type { Handlers } from '@berth/service'
import type { operations } from '../openapi-types.ts'
import { type AskDeps, askForMirror } from '../static-mirrors/ask.ts'

/** The API of static mirrors: repositories as files for a web server. */
export function staticMirrorHandlers(deps: AskDeps) {
  return {
    writeStaticMirror: async (request) => {
      const task = await askForMirror(deps, request)
      return { status: 202, headers: { location: `/api/v1/tasks/${task.id}` }, body: task }
    },
  } satisfies Partial<Handlers<operations>>
}
