import { createColors } from 'picocolors'
import type { Standalone } from './start-standalone.ts'

/** What a person needs after the start: where, with which key, on what engine, and three lines to paste. */
export function banner(
  standalone: Pick<Standalone, 'url' | 'apiKey' | 'engine' | 'dataDir'>,
  options: { color: boolean },
): string {
  const { bold, dim, green, yellow } = createColors(options.color)
  const { url, apiKey, engine, dataDir } = standalone
  const model = engine.models[0] ?? 'MODEL'
  const engineLine = `${engine.url}  ${engine.simulated ? yellow(engine.description) : dim(engine.description)}`
  return `
${bold('Forebay')} is up.

  API      ${green(url)}/v1   ${dim(`reference at ${url}/docs`)}
  key      ${apiKey}
  engine   ${engineLine}
  data     ${dataDir}

${bold('Try it')}
  ${dim('curl')}    curl ${url}/v1/chat/completions -H 'authorization: Bearer ${apiKey}' -H 'content-type: application/json' -d '{"model":"${model}","messages":[{"role":"user","content":"Hello"}]}'
  ${dim('SDK')}     new OpenAI({ baseURL: '${url}/v1', apiKey: '${apiKey}' })
  ${dim('CLI')}     FOREBAY_URL=${url} FOREBAY_API_KEY=${apiKey} npx forebay docs submit 'docs/*.md' --prompt 'Summarise: {{text}}' --model ${model} --wait

${dim('Ctrl-C stops it; what was accepted goes on at the next start.')}
`
}
