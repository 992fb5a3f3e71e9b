import type { Command } from 'commander'
import { type Cli, commaList, examples, onRun } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { table, time } from '../text.ts'

interface Endpoint {
  id: string
  url: string
  events: string[]
  created_at: number
  disabled_at?: number | null
  disabled_reason?: string | null
}

/** `forebay webhooks …` */
export function addWebhooksCommands(program: Command, cli: Cli): void {
  const webhooks = examples(
    program.command('webhooks').description('where to send the news of batches'),
    'forebay webhooks create https://example.com/hooks --events batch.completed,batch.failed',
  )

  const create = webhooks
    .command('create')
    .argument('<url>')
    .description('add an endpoint; its signing secret is shown this once')
    .option('--events <types>', 'only these, comma-separated; all when not given', commaList)
  onRun<[string], { events?: string[] }>(cli, create, async ({ api, out }, [url], { events }) => {
    const body = { url, ...(events ? { events } : {}) }
    const created = await api().call<Endpoint & { secret: string }>('POST', '/v1/webhooks', { body })
    out.data(created, () => created.secret)
    out.note(`Created ${created.id} for ${created.url}. The secret is not shown again.`)
    return exitCodes.ok
  })

  const list = webhooks.command('list').description('the endpoints, never their secrets')
  onRun<[]>(cli, list, async ({ api, out }) => {
    const found = await api().list<Endpoint>('/v1/webhooks')
    out.data(found, () =>
      table(
        ['ID', 'STATE', 'EVENTS', 'CREATED', 'URL'],
        found.map((endpoint) => [
          endpoint.id,
          endpoint.disabled_at ? `disabled: ${endpoint.disabled_reason ?? 'no reason given'}` : 'enabled',
          endpoint.events.length > 0 ? endpoint.events : 'all',
          time(endpoint.created_at),
          endpoint.url,
        ]),
      ),
    )
    return exitCodes.ok
  })

  const remove = webhooks.command('delete').argument('<id>').description('remove an endpoint')
  onRun<[string]>(cli, remove, async ({ api, out }, [id]) => {
    const deleted = await api().call('DELETE', `/v1/webhooks/${encodeURIComponent(id)}`)
    out.data(deleted, () => '')
    out.note(`Deleted ${id}.`)
    return exitCodes.ok
  })
}
