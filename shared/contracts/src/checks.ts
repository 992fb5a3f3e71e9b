import { z } from 'zod'

/** Most that a check's JSON Schema may come to, in bytes of JSON. */
export const checkSchemaBytesMax = 32_768

const retries = z.number().int().min(0).max(10)

/**
 * What every answer of a batch must fit: JSON of a schema, or a text in which a regular expression finds something. A
 * line whose answer does not is run again up to `max_retries` times.
 */
export const answerCheckSchema = z.strictObject({
  json_schema: z.record(z.string(), z.unknown()).optional(),
  regex: z.string().min(1).max(4_096).optional(),
  max_retries: retries.default(2),
})
export type AnswerCheck = z.infer<typeof answerCheckSchema>

/** The error code of a line whose answers did not fit the check of its batch. */
export const checkFailedCode = 'check_failed'
