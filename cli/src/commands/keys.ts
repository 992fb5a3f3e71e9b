import type { Command } from 'commander'
import { type Cli, examples, onRun } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { table, time } from '../text.ts'

interface Key {
  id: string
  name: string
  role: string
  project?: string
  hint?: string
  created_at: number
  last_used_at?: number | null
  expires_at?: number | null
  revoked_at?: number | null
}

/** `forebay keys …`, for an admin key. */
export function addKeysCommands(program: Command, cli: Cli): void {
  const keys = examples(
    program.command('keys').description('API keys; needs an admin key'),
    'forebay keys create ci-runner',
    'forebay keys revoke key_123',
  )

  const create = keys
    .command('create')
    .argument('<name>', 'what it is for')
    .description('make a key; it is shown this once')
    .option('--role <role>', 'user or admin', 'user')
    .option('--tenant <id>', 'for this tenant; your own when not given')
    .option('--project <id>', 'what its spending belongs to; the project default when not given')
  type CreateOptions = { role: string; tenant?: string; project?: string }
  onRun<[string], CreateOptions>(cli, create, async ({ api, out }, [name], { role, tenant, project }) => {
    const body = { name, role, tenant, project }
    const created = await api().call<Key & { key: string }>('POST', '/admin/keys', { body })
    out.data(created, () => created.key)
    out.note(`Created ${created.id} (${created.role}). The key is not shown again.`)
    return exitCodes.ok
  })

  const list = keys
    .command('list')
    .description('the keys, never their secret part')
    .option('--tenant <id>', 'of this tenant; your own when not given')
  onRun<[], { tenant?: string }>(cli, list, async ({ api, out }, _args, { tenant }) => {
    const found = await api().list<Key>('/admin/keys', { query: { tenant } })
    out.data(found, () =>
      table(
        ['ID', 'ENDS IN', 'ROLE', 'STATE', 'CREATED', 'LAST USED', 'PROJECT', 'NAME'],
        found.map((key) => [
          ...[key.id, key.hint, key.role, key.revoked_at ? 'revoked' : 'active', time(key.created_at)],
          ...[time(key.last_used_at), key.project, key.name],
        ]),
      ),
    )
    return exitCodes.ok
  })

  const revoke = keys.command('revoke').argument('<id>').description('make a key useless at once')
  onRun<[string]>(cli, revoke, async ({ api, out }, [id]) => {
    const revoked = await api().call('DELETE', `/admin/keys/${encodeURIComponent(id)}`)
    out.data(revoked, () => '')
    out.note(`Revoked ${id}.`)
    return exitCodes.ok
  })
}
