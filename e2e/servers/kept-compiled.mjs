import { hash } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import vm from 'node:vm'

// Jest loads every package anew for every test file, and half of that time V8 compiles the same text again. What it makes of a
// text is kept for the other files of the run; modules are as separate as before. Loaded before jest by deploy/bootstrap/verbs.mjs.

/** @type {Map<string, Buffer>} */
const known = new Map()
const { compileFunction } = vm

/** @type {typeof compileFunction} */
vm.compileFunction = (code, parameters, options = {}) => {
  // The folder of the run (running.ts), where the workers find it: each of them lives for some files only.
  const folder = process.env.BERTH_TEST_COMPILED
  if (!folder || !options.filename?.includes('/node_modules/')) return compileFunction(code, parameters, options)
  const name = hash('sha1', code)
  const cachedData = known.get(name) ?? read(path.join(folder, name))
  if (cachedData) known.set(name, cachedData)
  const kept = cachedData ? { cachedData } : { produceCachedData: true }
  const compiled = compileFunction(code, parameters, { ...options, ...kept })
  if (compiled.cachedData) write(path.join(folder, name), compiled.cachedData)
  return compiled
}

/** @param {string} file */
function read(file) {
  try {
    return readFileSync(file)
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Another worker may write the same at the same time; whoever reads finds all of it or nothing.
 * @param {string} file @param {Buffer} bytes
 */
function write(file, bytes) {
  const own = `${file}.${process.pid}`
  writeFileSync(own, bytes)
  renameSync(own, file)
}
