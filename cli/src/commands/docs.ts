import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { type Cli, examples, onRun, wholeNumber } from '../command.ts'
import { findDocuments, writeDocumentBatch } from '../documents.ts'
import { usageFailure } from '../failure.ts'
import type { Output } from '../output.ts'
import { submitBatch } from '../submit-batch.ts'
import { count } from '../text.ts'
import { addSubmitOptions, type SubmitOptions, submitSettings } from './batch.ts'

const namedMax = 5

interface DocsOptions extends SubmitOptions {
  prompt: string
  model: string
  system?: string
  maxTokens?: number
  maxChars?: number
}

/** `forebay docs …` */
export function addDocsCommands(program: Command, cli: Cli): void {
  const docs = program.command('docs').description('run a prompt over documents')
  const submit = examples(
    docs
      .command('submit')
      .argument('<paths...>', 'files, folders or glob patterns: Markdown, text, README and the like')
      .description('make a batch with one request per document; its custom_id is the relative path'),
    "forebay docs submit 'docs/**/*.md' --model llama-3.1-8b --prompt 'Summarise in one sentence: {{text}}' --wait",
    "forebay docs submit notes README.md --model llama-3.1-8b --max-tokens 200 --prompt '{{text}}\\n\\nList the dates.'",
  )
    .requiredOption('--prompt <text>', 'what to ask; {{text}} stands for the document')
    .requiredOption('--model <name>', 'the model')
    .option('--system <text>', 'the system message')
    .option('--max-tokens <n>', 'most tokens of each answer', wholeNumber(1))
    .option('--max-chars <n>', 'cut longer documents to this many characters; whole when not given', wholeNumber(1))
  addSubmitOptions(submit)
  onRun<[string[]], DocsOptions>(cli, submit, async (context, [patterns], options) => {
    const { out, cwd } = context
    if (!options.prompt.includes('{{text}}'))
      throw usageFailure('--prompt must hold {{text}}, where the document goes.')
    const { paths, passedOver } = await findDocuments(patterns, cwd)
    if (passedOver > 0) out.warn(`Left out ${count(passedOver, 'file')}: neither Markdown nor plain text.`)
    const folder = await mkdtemp(join(tmpdir(), 'forebay-docs-'))
    try {
      const path = join(folder, 'docs.jsonl')
      const report = await writeDocumentBatch({ paths, cwd, template: options, target: path })
      name(out, 'Skipped, being empty or not UTF-8 text', report.skipped)
      name(out, `Cut to ${options.maxChars} characters`, report.cut)
      if (report.written.length === 0) throw usageFailure(`No document found at ${patterns.join(' ')}.`)
      out.note(`Made ${count(report.written.length, 'request')} from ${count(report.written.length, 'document')}.`)
      return await submitBatch(context, { ...submitSettings(options), path, endpoint: '/v1/chat/completions' })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
}

function name(out: Output, what: string, paths: readonly string[]): void {
  if (paths.length === 0) return
  const more = paths.length > namedMax ? ` and ${paths.length - namedMax} more` : ''
  out.warn(`${what}: ${paths.slice(0, namedMax).join(', ')}${more}`)
}
