import { createRequire, flushCompileCache, registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'

// Jest gives each test file a world of its own, in which every module is loaded and compiled anew: with some hundred files and two
// thousand modules behind most of them that was half of what the tests cost. Here Node itself loads a test file and what it
// imports, once for each worker, as it does for Berth. So modules are shared by the files of a worker: what a module remembers
// outlives a file, and a test that changes it puts it back. The environment is put back here.

const require = createRequire(import.meta.url)
const globals = new URL('plain-globals.mjs', import.meta.url).href

/** @type {Record<string, any>} */
let functions = {}

/** `test`, `expect` and the others of the test file that runs. */
export const functionsOfFile = () => functions

registerHooks({
  resolve: (specifier, context, next) => {
    if (specifier !== '@jest/globals') return next(specifier, context)
    const parent = context.parentURL ?? ''
    return { url: parent.endsWith('.test.ts') ? `${globals}?${parent}` : globals, shortCircuit: true }
  },
})

/** What jest's own test runner asks of a runtime, for modules that Node loads. */
class PlainRuntime {
  #environment = { ...process.env }

  /** Its state is that of one file, so it is loaded anew for each; what it stands on is not. @param {string} file */
  requireInternalModule(file) {
    delete require.cache[file]
    return require(file)
  }

  /** @param {string} file */
  requireModule(file) {
    return require(file)
  }

  /** @param {Record<string, any>} ofFile */
  setGlobalsForRuntime(ofFile) {
    functions = ofFile
  }

  unstable_shouldLoadAsEsm() {
    return true
  }

  /** @param {string} file */
  async unstable_importModule(file) {
    await import(pathToFileURL(file).href)
  }

  enterTestCode() {}

  leaveTestCode() {}

  getSourceMaps() {
    return new Map()
  }

  getAllCoverageInfoCopy() {}

  teardown() {
    // Node would do it at its end, for which jest gives a worker half a second.
    flushCompileCache()
    for (const name of Object.keys(process.env)) if (!(name in this.#environment)) delete process.env[name]
    Object.assign(process.env, this.#environment)
    // The tests of this file and the handlers of their events: jest's runner leaves them behind, for its own world of a file goes as a whole.
    for (const symbol of Object.getOwnPropertySymbols(globalThis)) {
      const name = symbol.description ?? ''
      if (['JEST_STATE_SYMBOL', 'EVENT_HANDLERS'].includes(name)) Reflect.deleteProperty(globalThis, symbol)
    }
  }
}

export { PlainRuntime as 'module.exports' }
