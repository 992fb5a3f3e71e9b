import type { z } from 'zod'
import { caches } from './settings/caches.ts'
import { connections } from './settings/connections.ts'
import { engine } from './settings/engine.ts'
import { keeping } from './settings/keeping.ts'
import { quality } from './settings/quality.ts'
import { requests } from './settings/requests.ts'
import { scaling } from './settings/scaling.ts'
import { webhooks } from './settings/webhooks.ts'

/** Every setting of every process, by what it is about. The defaults are those of one machine. */
export const settings = {
  ...connections,
  ...requests,
  ...engine,
  ...caches,
  ...keeping,
  ...quality,
  ...scaling,
  ...webhooks,
} as const

export type SettingName = keyof typeof settings

/** What is in force. A setting that is optional and not given is undefined. */
export type Config = { readonly [K in SettingName]: z.output<(typeof settings)[K]['schema']> }
