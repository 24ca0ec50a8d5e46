import { functionsOfFile } from './plain-runtime.mjs'

// Stands for `@jest/globals` in the tests, whose functions are other ones for each test file. A test file has them as they are, so
// that an error points at its own line; a fixture, which is loaded once for all files of a worker, has them looked up at each call.
const isOfTestFile = new URL(import.meta.url).search !== ''

/** @param {string} name @returns {any} */
function give(name) {
  if (isOfTestFile) return functionsOfFile()[name]
  return new Proxy(() => {}, {
    apply: (_target, self, args) => Reflect.apply(functionsOfFile()[name], self, args),
    get: (_target, key) => functionsOfFile()[name][key],
  })
}

export const afterAll = give('afterAll')
export const afterEach = give('afterEach')
export const beforeAll = give('beforeAll')
export const beforeEach = give('beforeEach')
export const describe = give('describe')
export const expect = give('expect')
export const test = give('test')
