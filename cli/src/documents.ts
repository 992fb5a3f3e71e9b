import { createWriteStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { basename, relative, resolve, sep } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { glob } from 'tinyglobby'

const extensions = /\.(md|markdown|txt)$/i
const bareNames =
  /^(readme|licen[cs]e|copying|notice|authors|contributors|contributing|changelog|changes|history|news|install|security)(-[\w.]+)?$/i

/** What becomes of every document's text. */
export interface DocumentTemplate {
  model: string
  /** Holds `{{text}}` where the document goes. */
  prompt: string
  system?: string | undefined
  maxTokens?: number | undefined
  /** Longer documents are cut to this many characters. */
  maxChars?: number | undefined
}

/** What was made of the documents: paths by what happened to them. */
export interface DocumentReport {
  written: string[]
  cut: string[]
  /** Empty, or not UTF-8 text. */
  skipped: string[]
}

/**
 * The documents that paths, folders and glob patterns name, sorted, relative to `cwd`: Markdown, plain text, and files
 * such as README and LICENSE. `passedOver` counts files that were matched and are none of these.
 */
export async function findDocuments(
  patterns: readonly string[],
  cwd: string,
): Promise<{ paths: string[]; passedOver: number }> {
  const literal: string[] = []
  const globs: string[] = []
  for (const pattern of patterns) {
    // A shell may have expanded a pattern to a name that looks like one itself.
    const found = await stat(resolve(cwd, pattern)).catch(() => undefined)
    if (found?.isFile()) literal.push(pattern)
    else globs.push(pattern)
  }
  const matched = globs.length > 0 ? await glob(globs, { cwd, ignore: ['**/node_modules/**'], dot: false }) : []
  const all = [...new Set([...literal.map((path) => relative(cwd, resolve(cwd, path))), ...matched])].map((path) =>
    path.split(sep).join('/'),
  )
  const paths = all.filter((path) => extensions.test(path) || bareNames.test(basename(path))).sort()
  return { paths, passedOver: all.length - paths.length }
}

/** Writes one batch line per document, its path as custom_id, reading one document at a time. */
export async function writeDocumentBatch(options: {
  paths: readonly string[]
  cwd: string
  template: DocumentTemplate
  target: string
}): Promise<DocumentReport> {
  const { paths, cwd, template, target } = options
  const report: DocumentReport = { written: [], cut: [], skipped: [] }
  const lines = async function* () {
    for (const path of paths) {
      const text = decodeText(await readFile(resolve(cwd, path)))
      if (text === undefined || text.trim() === '') {
        report.skipped.push(path)
        continue
      }
      const shown = cutText(text, template.maxChars)
      if (shown.length < text.length) report.cut.push(path)
      report.written.push(path)
      yield `${JSON.stringify(documentLine(path, shown, template))}\n`
    }
  }
  await pipeline(Readable.from(lines()), createWriteStream(target))
  return report
}

function documentLine(path: string, text: string, template: DocumentTemplate) {
  const { model, prompt, system, maxTokens } = template
  return {
    custom_id: path,
    method: 'POST',
    url: '/v1/chat/completions',
    body: {
      model,
      messages: [
        ...(system === undefined ? [] : [{ role: 'system', content: system }]),
        // A function, since a `$&` in a document must stay what it is.
        { role: 'user', content: prompt.replaceAll('{{text}}', () => text) },
      ],
      ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
    },
  }
}

// Undefined for what is not text: other encodings, binaries.
function decodeText(bytes: Buffer): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return text.includes('\0') ? undefined : text
  } catch {
    return undefined
  }
}

// Cuts at a whole character: half of a surrogate pair is no valid text.
function cutText(text: string, maxChars: number | undefined): string {
  if (maxChars === undefined || text.length <= maxChars) return text
  const last = text.charCodeAt(maxChars - 1)
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? maxChars - 1 : maxChars)
}
