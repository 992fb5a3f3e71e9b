import { describeError } from '@forebay/kernel'
import { Command, CommanderError } from 'commander'
import pc from 'picocolors'
import manifest from '../package.json' with { type: 'json' }
import type { Cli } from './command.ts'
import { addAuditCommands } from './commands/audit.ts'
import { addBatchCommands } from './commands/batch.ts'
import { addBenchCommand } from './commands/bench.ts'
import { addBudgetsCommands } from './commands/budgets.ts'
import { addCacheCommands } from './commands/cache.ts'
import { addDocsCommands } from './commands/docs.ts'
import { addEraseCommands } from './commands/erase.ts'
import { addFilesCommands } from './commands/files.ts'
import { addKeysCommands } from './commands/keys.ts'
import { addLedgerCommands } from './commands/ledger.ts'
import { addModelsCommand } from './commands/models.ts'
import { addPlanCommand } from './commands/plan.ts'
import { addPoolsCommands } from './commands/pools.ts'
import { addProjectsCommands } from './commands/projects.ts'
import { addRetentionCommands } from './commands/retention.ts'
import { addReviewsCommands } from './commands/reviews.ts'
import { addRoutingCommand } from './commands/routing.ts'
import { addScalingCommand } from './commands/scaling.ts'
import { addSetupCommands } from './commands/setup.ts'
import { addSimulateCommand } from './commands/simulate.ts'
import { addUsageCommand } from './commands/usage.ts'
import { addWebhooksCommands } from './commands/webhooks.ts'
import type { Surroundings } from './context.ts'
import { type ExitCode, exitCodes, Failure } from './failure.ts'

const exitCodeHelp = `
Data goes to stdout, messages to stderr. With --json a command prints one JSON value, a list being an array;
results, errors and content stay the JSONL they are. What goes wrong is then a JSON line on stderr.

Exit codes: 0 fine; 1 other trouble; 2 wrong usage; 3 the batch finished, some lines failed, or the ledger has drift,
or the audit log does not verify; 4 the batch failed,
expired or was cancelled; 5 key refused; 6 quota or rate limit; 7 the gateway cannot be reached; 130 Ctrl-C.`

/** Runs one command line to its end and answers the exit code; never throws. */
export async function runCli(argv: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  const cli: Cli = { surroundings, exitCode: exitCodes.ok }
  const json = argv.includes('--json')
  try {
    await makeProgram(cli).parseAsync(argv, { from: 'user' })
    return cli.exitCode
  } catch (err) {
    if (err instanceof CommanderError) return err.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    const failure = surroundings.interrupted.aborted ? surroundings.interrupted.reason : err
    const shown = failure instanceof Failure ? failure : new Failure(exitCodes.other, describeError(failure))
    const { code, param, exitCode } = shown
    const message = shown.message.replace(/\s*\n\s*/g, ' ')
    if (json) surroundings.stderr.write(`${JSON.stringify({ error: { message, code, param } })}\n`)
    else {
      const details = [code, param && `param ${param}`].filter(Boolean).join(', ')
      const text = `${message}${details ? ` (${details})` : ''}`
      surroundings.stderr.write(`${pc.createColors(surroundings.stderr.isTTY === true).red('error:')} ${text}\n`)
    }
    return exitCode
  }
}

function makeProgram(cli: Cli): Command {
  const { stdout, stderr } = cli.surroundings
  const program = new Command('forebay')
    .description('Run batches and documents through Forebay.')
    .option('--url <url>', 'where the gateway is; FOREBAY_URL when not given')
    .option('--api-key <key>', 'the API key; FOREBAY_API_KEY when not given')
    .option('--json', 'print JSON')
    .version(manifest.version, '--version', 'print the version')
    .addHelpText(
      'before',
      `Examples:
  forebay batch submit requests.jsonl --wait
  forebay docs submit 'docs/**/*.md' --model llama-3.1-8b --prompt 'Summarise: {{text}}'
  forebay usage --by model
`,
    )
    .addHelpText('after', exitCodeHelp)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
    })
    .exitOverride()
  addBatchCommands(program, cli)
  addDocsCommands(program, cli)
  addFilesCommands(program, cli)
  addKeysCommands(program, cli)
  addProjectsCommands(program, cli)
  addWebhooksCommands(program, cli)
  addUsageCommand(program, cli)
  addLedgerCommands(program, cli)
  addBudgetsCommands(program, cli)
  addModelsCommand(program, cli)
  addPoolsCommands(program, cli)
  addRoutingCommand(program, cli)
  addScalingCommand(program, cli)
  addCacheCommands(program, cli)
  addReviewsCommands(program, cli)
  addAuditCommands(program, cli)
  addRetentionCommands(program, cli)
  addEraseCommands(program, cli)
  addSimulateCommand(program, cli)
  addPlanCommand(program, cli)
  addBenchCommand(program, cli)
  addSetupCommands(program, cli)
  return program
}
