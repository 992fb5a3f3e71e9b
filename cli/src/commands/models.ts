import type { Command } from 'commander'
import type { Page } from '../api-objects.ts'
import { type Cli, onRun } from '../command.ts'
import { exitCodes } from '../failure.ts'

/** `forebay models` */
export function addModelsCommand(program: Command, cli: Cli): void {
  const models = program.command('models').description('the models that are served now')
  onRun<[]>(cli, models, async ({ api, out }) => {
    const { data } = await api().call<Page<{ id: string }>>('GET', '/v1/models')
    out.data(data, () => data.map((model) => model.id).join('\n'))
    if (data.length === 0) out.note('No model is served: is a worker running?')
    return exitCodes.ok
  })
}
