// Loaded into the program that the bootstrap runs. The bootstrap holds the other end of descriptor 3 and never writes to
// it, so its end means that the bootstrap is gone, by whatever signal.
import { Socket } from 'node:net'
import { isMainThread } from 'node:worker_threads'

const lookEveryMs = 500
const end = () => process.kill(process.pid, 'SIGTERM')

// Worker processes are started with the same --import; their descriptor 3 is something else. Threads are started with it, too.
if (isMainThread && Number(process.env.BERTH_BOOTSTRAP_PID) === process.ppid) {
  const pipe = new Socket({ fd: 3, readable: true, writable: false })
  pipe.once('end', end)
  pipe.once('error', end)
  pipe.resume()
  pipe.unref()
} else if (isMainThread && process.env.JEST_WORKER_ID) {
  // A worker of jest goes on with its test file when jest is gone. To listen for the end of its channel would keep the channel, and
  // with it a worker that is done, from ending.
  const parent = process.ppid
  setInterval(() => process.ppid !== parent && end(), lookEveryMs).unref()
}
