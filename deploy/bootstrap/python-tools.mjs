import path from 'node:path'
import { placeOnce } from './cache.mjs'
import { findOnPath, lastLine, run } from './command.mjs'
import { say } from './say.mjs'

// What reads our OpenAPI document as others do: a generator of clients, and one of requests.
const packages = ['openapi-python-client==0.29.1', 'schemathesis==4.32.5']
const installMs = 300_000

/**
 * The folder of the Python tools that tests use, as BERTH_TEST_PYTHON_TOOLS, or why they are missing as
 * BERTH_TEST_NO_PYTHON_TOOLS. They are installed only when `build` is true, once per machine.
 */
export async function pythonEnvironment({ build }) {
  const name = `python-tools-${packages.map((one) => one.replace('==', '-')).join('-')}`
  try {
    const place = await placeOnce(name, async (folder) => {
      if (!findOnPath('python3')) throw new Error('there is no python3')
      if (!build) throw new Error('`npm test` installs them')
      say('installing openapi-python-client and schemathesis with pip, once')
      const flags = ['--quiet', '--disable-pip-version-check', '--retries=1']
      const args = ['-m', 'pip', 'install', ...flags, '--target', path.join(folder, 'lib'), ...packages]
      const { code, output } = await run('python3', args, { cwd: folder, timeoutMs: installMs })
      if (code !== 0) throw new Error(lastLine(output) || 'pip failed')
    })
    return { BERTH_TEST_PYTHON_TOOLS: path.join(place, 'lib') }
  } catch (error) {
    say(`THE TESTS OF GENERATED CLIENTS ARE SKIPPED: ${error.message}`)
    return { BERTH_TEST_NO_PYTHON_TOOLS: error.message }
  }
}
