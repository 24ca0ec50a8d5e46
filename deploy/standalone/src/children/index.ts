// What another program that starts servers needs, without loading the six services.
export { freePort } from './free-port.ts'
export { lockFolder } from './home-lock.ts'
export { commandOf, startOf, workingFolderOf } from './identity.ts'
export { dyingWithUs, ended, hasEnded } from './keep-running.ts'
export { lastLines, withLogFile } from './log-file.ts'
