import { type DestinationStream, destination, type Logger as PinoLogger, pino } from 'pino'

export type Logger = PinoLogger

/** How much is logged, from nothing to everything. */
export const logLevels = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const
export type LogLevel = (typeof logLevels)[number]

/** A JSON logger on stderr (stdout is for data). Keys and prompts are redacted by field name. */
export function makeLogger(options: { process: string; level: LogLevel; stream?: DestinationStream }): Logger {
  return pino(
    {
      level: options.level,
      base: { process: options.process },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: {
        paths: [
          'authorization',
          '*.authorization',
          'apiKey',
          '*.apiKey',
          'secret',
          '*.secret',
          'body',
          '*.body',
          'prompt',
          '*.prompt',
        ],
        censor: '[redacted]',
      },
    },
    options.stream ?? destination({ fd: 2, sync: true }),
  )
}

/** A logger that says nothing, for tests. */
export const silentLogger: Logger = pino({ level: 'silent' })
