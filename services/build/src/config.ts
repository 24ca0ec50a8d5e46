import { type HostConfig, hostSettings } from '@berth/host'

/** What build reads from the environment. */
export const buildSettings = hostSettings('build', ['auth'])
export type BuildConfig = HostConfig<'auth'>
