import { type DestinationStream, destination, type Logger as PinoLogger, pino } from 'pino'

export type Logger = PinoLogger

export type LogLevel = 'silent' | 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace'

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
