import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'

export interface Document {
  /** Path below the folder searched, `/`-separated. */
  name: string
  text: string
}

/** Longest text taken of a document, in characters: the demo is to end while one watches. */
const charactersMax = 6000

/**
 * The README and licence files of the installed packages, in order of their names, at most `countMax` of them:
 * real text of many lengths that is on every machine where the demo can run.
 */
export async function collectDocuments(options: { folder: string; countMax: number }): Promise<Document[]> {
  const { folder, countMax } = options
  const documents: Document[] = []
  for await (const path of walk(folder, 3)) {
    if (!/\/(readme|license|licence|copying|changelog)(\.(md|markdown|txt))?$/i.test(path)) continue
    const { size } = await stat(path)
    if (size === 0 || size > 1_000_000) continue
    const text = (await readFile(path, 'utf8')).slice(0, charactersMax)
    documents.push({ name: relative(folder, path).split('\\').join('/'), text })
    if (documents.length === countMax) break
  }
  return documents
}

async function* walk(folder: string, depth: number): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name)
    if (entry.isFile()) yield path
    else if (entry.isDirectory() && depth > 1 && !entry.name.startsWith('.')) yield* walk(path, depth - 1)
  }
}

/** The batch file: one chat request per document. */
export function batchLines(options: { documents: readonly Document[]; model: string; tokensMax: number }): string {
  return options.documents
    .map(({ name, text }) =>
      JSON.stringify({
        custom_id: name,
        method: 'POST',
        url: '/v1/chat/completions',
        body: {
          model: options.model,
          max_tokens: options.tokensMax,
          messages: [
            { role: 'system', content: 'You summarise documents in three sentences.' },
            { role: 'user', content: `Summarise this document:\n\n${text}` },
          ],
        },
      }),
    )
    .map((line) => `${line}\n`)
    .join('')
}
