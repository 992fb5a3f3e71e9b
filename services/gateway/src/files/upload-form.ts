import { ForebayError } from '@forebay/kernel'
import { findBadText } from '../http/text-rules.ts'
import { kindOf, unsupportedValue } from '../http/validator.ts'

const purposes = ['assistants', 'batch', 'fine-tune', 'vision', 'user_data', 'evals']
const batchExpirySeconds = 30 * 86_400

/** What the fields of an upload ask for. */
export interface UploadForm {
  purpose: string
  /** Lifetime from creation; null keeps the file until it is deleted. */
  expiresAfterSeconds: number | null
}

/** Checks an upload's form fields. Throws as OpenAI words it, naming the field. */
export function readUploadForm(fields: ReadonlyMap<string, string>): UploadForm {
  for (const [name, value] of fields) {
    if (findBadText([name, value], { nul: 'refuse' }) !== undefined) {
      throw new ForebayError('invalid_value', 'A form field holds a NUL character or is no valid text.', {
        param: name,
      })
    }
  }
  const purpose = fields.get('purpose')
  if (purpose === undefined) {
    throw new ForebayError('missing_required_parameter', "Missing required parameter: 'purpose'.", { param: 'purpose' })
  }
  if (!purposes.includes(purpose)) {
    throw new ForebayError('invalid_value', unsupportedValue(purpose, purposes), { param: 'purpose' })
  }
  return { purpose, expiresAfterSeconds: readExpiry(fields) ?? (purpose === 'batch' ? batchExpirySeconds : null) }
}

function readExpiry(fields: ReadonlyMap<string, string>): number | undefined {
  const anchor = fields.get('expires_after[anchor]')
  const given = fields.get('expires_after[seconds]')
  if (anchor === undefined && given === undefined) return undefined
  if (anchor !== 'created_at') {
    throw anchor === undefined
      ? new ForebayError('missing_required_parameter', "Missing required parameter: 'expires_after.anchor'.", {
          param: 'expires_after.anchor',
        })
      : new ForebayError('invalid_value', unsupportedValue(anchor, ['created_at']), { param: 'expires_after.anchor' })
  }
  const param = 'expires_after.seconds'
  if (given === undefined) {
    throw new ForebayError('missing_required_parameter', `Missing required parameter: '${param}'.`, { param })
  }
  const seconds = /^\d+$/.test(given) ? Number(given) : Number.NaN
  if (Number.isNaN(seconds)) {
    const text = `Invalid type for '${param}': expected an integer, but got ${kindOf(given)} instead.`
    throw new ForebayError('invalid_type', text, { param })
  }
  if (seconds < 3_600 || seconds > 2_592_000) {
    const text = `Invalid '${param}': expected a value from 3600 to 2592000, but got ${seconds} instead.`
    throw new ForebayError('invalid_value', text, { param })
  }
  return seconds
}
