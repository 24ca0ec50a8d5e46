// What tests of services need to run them for real. Nothing that ships imports it.
export { makeDatabase, type TestDatabase, testServers } from './database.ts'
export { dumpSchema } from './dump-schema.ts'
export { programOf, sourceOf } from './programs.ts'
export { makeSelfSigned, makeSigned } from './self-signed.ts'
export { type Served, serve } from './serve.ts'
export { keyEnvironmentOf, keysOf, privateKeyOf, publicKeys } from './service-keys.ts'
export { type ServiceProcess, startProcess } from './service-process.ts'
export { until } from './until.ts'
