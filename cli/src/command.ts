import { type Command, InvalidArgumentError } from 'commander'
import { type Context, type GlobalOptions, makeContext, type Surroundings } from './context.ts'
import { type ExitCode, exitCodes } from './failure.ts'

/** What the commands are added to. */
export interface Cli {
  surroundings: Surroundings
  /** The exit code of the command that ran. */
  exitCode: ExitCode
}

/** Gives a command its work: `run` gets the arguments and options as commander parsed them. */
export function onRun<Args extends unknown[], Options = object>(
  cli: Cli,
  command: Command,
  run: (context: Context, args: Args, options: Options) => Promise<ExitCode | undefined>,
): Command {
  return command.action(async () => {
    const context = makeContext(cli.surroundings, command.optsWithGlobals<GlobalOptions>())
    try {
      cli.exitCode = (await run(context, command.processedArgs as Args, command.opts() as Options)) ?? exitCodes.ok
    } finally {
      await context.close()
    }
  })
}

/** Puts examples before everything else in a command's help. */
export function examples(command: Command, ...lines: string[]): Command {
  return command.addHelpText('before', `Examples:\n${lines.map((line) => `  ${line}`).join('\n')}\n`)
}

/** Reads a whole number of at least `min`. */
export function wholeNumber(min: number): (value: string) => number {
  return (value) => {
    const number = Number(value)
    if (!/^\d+$/.test(value) || number < min) throw new InvalidArgumentError(`It must be a whole number from ${min}.`)
    return number
  }
}

/** Gathers `key=value` options. */
export function keyValue(value: string, gathered: Record<string, string> = {}): Record<string, string> {
  const at = value.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('It must be key=value.')
  return { ...gathered, [value.slice(0, at)]: value.slice(at + 1) }
}

/** Splits a comma-separated option. */
export function commaList(value: string): string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean)
}
