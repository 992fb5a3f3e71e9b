import { type Settings, setting, text, whole } from './setting.ts'

/** The audit log, and how long content is kept. */
export const keeping = {
  auditKey: setting(
    'FOREBAY_AUDIT_KEY',
    text.optional(),
    "Ed25519 private key (PKCS #8, PEM or base64) that signs the audit log's checkpoints; one kept in the data folder when not set",
    true,
  ),
  retentionInputDays: setting(
    'FOREBAY_RETENTION_INPUT_DAYS',
    whole(0, 36_500).optional(),
    'days an uploaded file is kept after its last use, for a tenant without a retention of its own; until it is deleted when not set',
  ),
  retentionOutputDays: setting(
    'FOREBAY_RETENTION_OUTPUT_DAYS',
    whole(0, 36_500).default(30),
    'the same of output and error files, from when they were written',
  ),
  retentionAuditDays: setting(
    'FOREBAY_RETENTION_AUDIT_DAYS',
    whole(1, 36_500).optional(),
    'the same of rows of the audit log; for ever when not set',
  ),
  downloadWindowMs: setting(
    'FOREBAY_DOWNLOAD_WINDOW_MS',
    whole(0, 86_400_000).default(3_600_000),
    'how long files are kept all the same that retention lets go at once, so that they can be used and downloaded',
  ),
} as const satisfies Settings
