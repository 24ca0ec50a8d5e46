import { chmodSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { sourceOf } from '@berth/service/testing'
import { serviceNames } from '@berth/standalone/origin'
import { build, type Plugin } from 'esbuild'

/**
 * Joins what the programs load into a few files in a folder. The tests start Berth some hundred times, and to find and load two
 * thousand modules is more than a quarter of what a start costs. Nothing else is changed: each module has its own place and its own
 * names, so what it finds beside itself it finds in the repository.
 */
export async function joinPrograms(folder: string): Promise<void> {
  // Some tests run Berth as another user.
  chmodSync(folder, 0o755)
  await build({
    entryPoints: Object.fromEntries(['standalone', ...serviceNames].map((name) => [name, sourceOf(name)])),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: `node${process.versions.node}`,
    keepNames: true,
    legalComments: 'none',
    logLevel: 'error',
    // It is asked for, and not there.
    external: ['pg-native'],
    banner: {
      js: "import { createRequire as requireOf } from 'node:module';const require = requireOf(import.meta.url);",
    },
    plugins: [keepPlaces],
  })
}

const keepPlaces: Plugin = {
  name: 'each module knows its own place',
  setup: (bundle) => {
    // What is in machine code stays where it is.
    bundle.onResolve({ filter: /^@node-rs\/argon2$/ }, ({ path: name, importer }) => ({
      path: createRequire(importer).resolve(name),
      external: true,
    }))
    bundle.onLoad({ filter: /\.[cm]?[jt]s$/ }, async ({ path: file }) => {
      const text = await readFile(file, 'utf8')
      const isOurs = file.endsWith('.ts')
      const asks = isOurs ? text.includes('import.meta.url') : /\b(__dirname|__filename|import\.meta\.url)\b/.test(text)
      if (!asks) return undefined
      const places = `var __dirname = ${JSON.stringify(path.dirname(file))}, __filename = ${JSON.stringify(file)};`
      const contents = text.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(file).href))
      return { contents: isOurs ? contents : `${places}${contents}`, loader: isOurs ? 'ts' : 'js' }
    })
  },
}
