import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { dockerComposeTool } from 'docker-compose-mocha'

// A program of its own, for the tool passes its environment on to no more than half of what it runs, and the one of a test of jest is a
// copy. It brings an environment up, says so, and brings it down once its standard input ends.
const [file, name] = process.argv.slice(2)

let up
let down
dockerComposeTool(
  (hook) => {
    up = hook
  },
  (hook) => {
    down = hook
  },
  file,
  {
    envName: name,
    envVars: process.env,
    shouldPullImages: false,
    // It would remove every volume of the machine that nobody uses.
    cleanUp: false,
  },
)

let code = 0
try {
  await up()
  process.stdout.write('up\n')
  process.stdin.resume()
  await once(process.stdin, 'end')
} catch (error) {
  process.stderr.write(`${error.stderr ?? error.stack}\n`)
  code = 1
}
// Before the tool's own, which leaves the volumes.
const ended = spawnSync(
  'docker-compose',
  ['-p', name, '-f', file, 'down', '-v', '--remove-orphans', '--timeout', '20'],
  { encoding: 'utf8' },
)
if (ended.status !== 0) {
  process.stderr.write(ended.stderr)
  code = 1
}
await down()
process.exit(code)
