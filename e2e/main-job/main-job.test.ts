import { embeddedNats } from '../berth/events.ts'
import { startTestStack } from '../berth/stack.ts'
import { describeMainJob } from './main-job.ts'

describeMainJob('the main job, in one process on the file system', async () => {
  const stack = await startTestStack({ embeddedDatabase: true })
  return { stack, events: embeddedNats(stack.home), stop: () => stack.stop() }
})
