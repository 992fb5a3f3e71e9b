import { list, type Settings, setting, whole } from './setting.ts'

/** Deliveries to callbacks. */
export const webhooks = {
  webhookAllow: setting(
    'FOREBAY_WEBHOOK_ALLOW',
    list.optional(),
    'hosts and CIDR ranges webhooks may reach although they are private, or without TLS; comma-separated',
  ),
  webhookTimeoutMs: setting(
    'FOREBAY_WEBHOOK_TIMEOUT_MS',
    whole(100, 60_000).default(15_000),
    'longest one delivery of a webhook may take',
  ),
} as const satisfies Settings
