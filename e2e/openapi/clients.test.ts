import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { mergeDocuments } from '@berth/standalone/origin'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { pushRandomImage } from '../berth/push.ts'
import { basic, localRemote, make } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const execute = promisify(execFile)
const tools = process.env.BERTH_TEST_PYTHON_TOOLS
const group = tools ? describe : describe.skip
const seed = Number(process.env.BERTH_TEST_SEED ?? 20_261_128)
const examples = 3 * Number(process.env.BERTH_TEST_RUNS ?? 1)
// Not what would take the login away that the run has, nor a stream without an end, nor what is no API of ours (OAuth 2.0).
const leftOut = [
  'watchTask',
  'watchEvents',
  'getToken',
  'postToken',
  'exchangeToken',
  'updateMe',
  'updateUser',
  'deleteUser',
  'createUser',
]

group(`what others make of the OpenAPI document${tools ? '' : ` (${process.env.BERTH_TEST_NO_PYTHON_TOOLS})`}`, () => {
  const stack = withBerth({ own: true })
  let folder: string
  beforeAll(async () => {
    folder = makeTemporaryFolder('clients')
    writeFileSync(path.join(folder, 'openapi.json'), JSON.stringify(mergeDocuments()))
    const target = { url: stack.url, authorization: basic(stack) }
    await pushRandomImage(target, 'clients/app', 'v1')
    await make(stack, '/repositories', { name: 'clients/copy' })
    await make(
      stack,
      '/remotes',
      localRemote('itself', stack.url, 'clients/app', { username: 'admin', password: stack.password }),
    )
  }, 90_000)
  afterAll(async () => {
    removeFolder(folder)
  }, 30_000)

  /** Runs Python with the tools; throws with all that it has written when it fails. */
  const python = async (...args: string[]) => {
    const env = { ...process.env, PYTHONPATH: `${tools}:${folder}`, PYTHONDONTWRITEBYTECODE: '1' }
    try {
      return (await execute('python3', args, { cwd: folder, env, maxBuffer: 64 << 20 })).stdout
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string }
      throw new Error(
        `python3 ${args.slice(0, 4).join(' ')} failed:\n${stdout.slice(-20_000)}\n${stderr.slice(-5_000)}`,
        { cause: error },
      )
    }
  }

  test('a generated Python client makes, lists and shows repositories, syncs, and reads a problem', async () => {
    const options = ['--path', 'openapi.json', '--meta', 'none', '--output-path', 'berth_client', '--fail-on-warning']
    writeFileSync(path.join(folder, 'config.yaml'), 'post_hooks: []\n')
    await python('-m', 'openapi_python_client', 'generate', ...options, '--config', 'config.yaml')
    writeFileSync(path.join(folder, 'main_job.py'), mainJob)
    const said = await python('main_job.py', `${stack.url}/api/v1`, btoa(`${stack.user}:${stack.password}`))
    expect(said.trim().split('\n')).toEqual([
      'made clients/python',
      'listed True',
      'shown 0',
      'completed 1',
      'problem name_taken',
    ])
  }, 120_000)

  test('generated requests, by a seed, get no 500 and no answer that is not documented', async () => {
    const checks = [
      'not_a_server_error',
      'status_code_conformance',
      'content_type_conformance',
      'response_schema_conformance',
    ]
    const options = ['--phases', 'fuzzing', '--max-examples', String(examples), '--seed', String(seed), '--no-color']
    const without = leftOut.flatMap((operation) => ['--exclude-operation-id', operation])
    const header = ['-H', `Authorization: ${basic(stack)}`, '--request-timeout', '30', '--generation-database', 'none']
    const run = `import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())`
    const place = ['run', 'openapi.json', '--url', `${stack.url}/api/v1`, '--checks', checks.join(',')]
    const said = await python('-c', run, ...place, ...options, ...without, ...header)
    expect(said).toMatch(/Tested: 1\d\d/)
  }, 240_000)
})

const mainJob = `
import sys, time
from berth_client import AuthenticatedClient
from berth_client.api.repositories import create_repository, list_repositories, show_repository
from berth_client.api.syncs import start_sync
from berth_client.api.tasks import show_task
from berth_client.models import CreateRepositoryRequest, Problem, StartSyncRequest

url, login = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=login, prefix='Basic')
wanted = CreateRepositoryRequest(name='clients/python')
print('made', create_repository.sync(client=client, body=wanted).name)
print('listed', 'clients/python' in [one.name for one in list_repositories.sync(client=client, limit=50).items])
print('shown', show_repository.sync(client=client, repository='clients/python').latest_version)
task = start_sync.sync(client=client, body=StartSyncRequest(repository='clients/python', remote='itself'))
while task.state in ('waiting', 'running'):
    time.sleep(0.1)
    task = show_task.sync(client=client, task=task.id)
print(task.state, task.result['version'])
problem = create_repository.sync(client=client, body=wanted)
print('problem', problem.code if isinstance(problem, Problem) else problem)
`
