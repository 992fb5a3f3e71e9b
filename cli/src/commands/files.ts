import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { FileObject } from '../api-objects.ts'
import { type Cli, examples, onRun, wholeNumber } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { uploadFile } from '../submit-batch.ts'
import { fields, size, table, time } from '../text.ts'
import { saveContent } from './batch.ts'

/** `forebay files …` */
export function addFilesCommands(program: Command, cli: Cli): void {
  const files = examples(
    program.command('files').description('upload files and read them'),
    'forebay files upload requests.jsonl',
    'forebay files content file-123 -o copy.jsonl',
  )

  const upload = files
    .command('upload')
    .argument('<file>')
    .description('upload a file, streamed from disk')
    .option('--purpose <purpose>', 'what it is for', 'batch')
  onRun<[string], { purpose: string }>(cli, upload, async (context, [path], { purpose }) => {
    const file = await uploadFile(context, { path: resolve(context.cwd, path), purpose })
    context.out.note(`Uploaded ${file.filename} (${size(file.bytes)}).`)
    context.out.data(file, () => file.id)
    return exitCodes.ok
  })

  const list = files
    .command('list')
    .description('the newest files')
    .option('--limit <n>', 'how many', wholeNumber(1), 20)
    .option('--purpose <purpose>', 'only those for this, as batch or batch_output')
  onRun<[], { limit: number; purpose?: string }>(cli, list, async ({ api, out }, _args, { limit, purpose }) => {
    const found = await api().list<FileObject>('/v1/files', { limit, query: { purpose } })
    out.data(found, () =>
      table(
        ['ID', 'PURPOSE', 'SIZE', 'CREATED', 'FILENAME'],
        found.map((file) => [file.id, file.purpose, size(file.bytes), time(file.created_at), file.filename]),
      ),
    )
    return exitCodes.ok
  })

  const get = files.command('get').argument('<id>').description('one file')
  onRun<[string]>(cli, get, async ({ api, out }, [id]) => {
    const file = await api().call<FileObject>('GET', `/v1/files/${encodeURIComponent(id)}`)
    out.data(file, () =>
      fields([
        ['id', file.id],
        ['filename', file.filename],
        ['purpose', file.purpose],
        ['size', size(file.bytes)],
        ['created', time(file.created_at)],
        ['expires', time(file.expires_at)],
      ]),
    )
    return exitCodes.ok
  })

  const content = files
    .command('content')
    .argument('<id>')
    .description("a file's bytes, on stdout or in a file")
    .option('-o, --output <file>', 'write to this file')
  onRun<[string], { output?: string }>(cli, content, (context, [id], { output }) => saveContent(context, id, output))

  const remove = files.command('delete').argument('<id>').description('delete a file')
  onRun<[string]>(cli, remove, async ({ api, out }, [id]) => {
    const deleted = await api().call<{ id: string }>('DELETE', `/v1/files/${encodeURIComponent(id)}`)
    out.data(deleted, () => '')
    out.note(`Deleted ${id}.`)
    return exitCodes.ok
  })
}
