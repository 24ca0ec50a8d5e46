import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from '@jest/globals'
import type { Berth } from '../berth/berth.ts'
import { pushRandomImage } from '../berth/push.ts'
import { basic } from '../berth/requests.ts'
import { findProgram } from '../servers/programs.ts'
import { readTour, screenOf, typeAll } from './tour.ts'

/** What a shell needs before it types a page: where Berth is, and a skopeo that keeps its logins in the folder. `app:1` is an image there. */
export async function openSkopeoShell(stack: Berth, folder: string): Promise<string> {
  writeFileSync(path.join(folder, 'auth.json'), '{}')
  // Berth speaks no TLS here.
  const skopeo = findProgram('skopeo')
  const insecure = `case $1 in
    login) set -- "$@" --tls-verify=false;;
    copy) shift; set -- copy --src-tls-verify=false --dest-tls-verify=false "$@";;
    inspect) shift; set -- inspect --tls-verify=false "$@";;
  esac`
  const setUp = [
    `export BERTH=${stack.url} LOGIN='${stack.user}:${stack.password}'`,
    `export TMPDIR=${folder} REGISTRY_AUTH_FILE=${folder}/auth.json`,
    `skopeo() { ${insecure}\n${skopeo} --insecure-policy "$@"; }`,
  ].join('\n')
  await pushRandomImage({ url: stack.url, authorization: basic(stack) }, 'pages-access/source', '1')
  const source = `docker://${stack.host}/pages-access/source:1`
  await typeAll([`skopeo copy -q --src-creds "$LOGIN" ${source} oci:app:1`], { cwd: folder, setUp })
  return setUp
}

/** Types the blocks of a page, for this Berth, and compares what is on the screen with what the page shows. */
export async function typePage(
  page: string,
  name: string,
  stack: Berth,
  options: { cwd: string; setUp: string },
): Promise<number> {
  const here = (text: string) => text.replaceAll('berth.example.com', stack.host)
  const steps = readTour(new URL(`../../docs/how-to/${page}.md`, import.meta.url), name)
  const outputs = await typeAll(
    steps.map(({ command }) => here(command)),
    options,
  )
  for (const [i, step] of steps.entries())
    expect(outputs[i]).toMatch(screenOf({ ...step, output: step.output.map(here) }))
  return steps.length
}
