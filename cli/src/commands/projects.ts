import type { Command } from 'commander'
import { type Cli, examples, onRun } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { table, time } from '../text.ts'

interface Project {
  id: string
  tenant: string
  name: string
  created_at: number
}

/** `forebay projects …`, for an admin key. */
export function addProjectsCommands(program: Command, cli: Cli): void {
  const projects = examples(
    program.command('projects').description("what a tenant's spending is told apart by; needs an admin key"),
    'forebay projects create search --name "Search and ranking"',
    'forebay projects list --tenant acme --json',
    'forebay keys create ci-runner --project search',
  )

  const create = projects
    .command('create')
    .argument('<id>', 'lower-case letters, digits, "-" and "_"')
    .description('make a project; keys made with --project belong to it')
    .option('--name <name>', 'for people; the id when not given')
    .option('--tenant <id>', 'for this tenant; your own when not given')
  type CreateOptions = { name?: string; tenant?: string }
  onRun<[string], CreateOptions>(cli, create, async ({ api, out }, [id], { name, tenant }) => {
    const made = await api().call<Project>('POST', '/admin/projects', { body: { id, name, tenant } })
    out.data(made, () => shown([made]))
    return exitCodes.ok
  })

  const list = projects
    .command('list')
    .description('the projects of a tenant')
    .option('--tenant <id>', 'of this tenant; your own when not given')
  onRun<[], { tenant?: string }>(cli, list, async ({ api, out }, _args, { tenant }) => {
    const { data } = await api().call<{ data: Project[] }>('GET', '/admin/projects', { query: { tenant } })
    out.data(data, () => shown(data))
    return exitCodes.ok
  })
}

function shown(rows: readonly Project[]): string {
  return table(
    ['ID', 'TENANT', 'CREATED', 'NAME'],
    rows.map((row) => [row.id, row.tenant, time(row.created_at), row.name]),
  )
}
