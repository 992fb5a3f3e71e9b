import { ForebayError } from '@forebay/kernel'

const lengthMax = 80

/** The names of a queue and its dead-letter queue on SQS. */
export interface SqsNames {
  readonly queue: string
  readonly dead: string
}

/**
 * SQS allows no dot: "." becomes "--", and "---dead" ends the dead-letter queue's name. Throws `queue_invalid` for
 * a name that could then be mistaken for another, or is too long.
 */
export function sqsNames(prefix: string, name: string): SqsNames {
  if (/--|-\.|\.-|\.\.|[.-]$/.test(name)) {
    throw new ForebayError(
      'queue_invalid',
      `Queue name "${name}" has no name of its own on SQS: put letters or digits between its "." and "-".`,
    )
  }
  const queue = `${prefix}--${name.replaceAll('.', '--')}`
  const dead = `${queue}---dead`
  if (dead.length <= lengthMax) return { queue, dead }
  throw new ForebayError(
    'queue_invalid',
    `Queue name "${name}" is too long for SQS: "${dead}" has ${dead.length} characters of ${lengthMax}. Shorten the name, or the prefix in the queue URL.`,
  )
}
