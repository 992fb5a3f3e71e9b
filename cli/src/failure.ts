/** What the exit code of `forebay` tells. */
export const exitCodes = {
  ok: 0,
  other: 1,
  usage: 2,
  /** The batch finished, and some of its lines failed. */
  linesFailed: 3,
  /** A verification found a difference. */
  differs: 3,
  /** The batch failed its validation, expired or was cancelled. */
  batchFailed: 4,
  auth: 5,
  quota: 6,
  network: 7,
  /** Ctrl-C. A batch that was being waited for goes on. */
  interrupted: 130,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** Ends a command: one line that says what is wrong and the way out, and the exit code. */
export class Failure extends Error {
  readonly exitCode: ExitCode
  /** The API's error code and parameter, where it was the API that failed. */
  readonly code: string | null
  readonly param: string | null

  constructor(exitCode: ExitCode, message: string, options: { code?: string | null; param?: string | null } = {}) {
    super(message)
    this.name = 'Failure'
    this.exitCode = exitCode
    this.code = options.code ?? null
    this.param = options.param ?? null
  }
}

/** A command called in a way that cannot work. */
export function usageFailure(message: string): Failure {
  return new Failure(exitCodes.usage, message)
}
