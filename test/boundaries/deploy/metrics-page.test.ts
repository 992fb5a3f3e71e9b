import { describe, expect, it } from 'vitest'
import { text } from './files.ts'
import { readExposed } from './registries.ts'

/* docs/metrics.md and what the processes expose are the same. When it fails, put the printed row into the table. */
const exposed = await readExposed()
const rowOf = ({ labels, name, process, type }: (typeof exposed)[number]) =>
  `| ${process} | \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} |`
const rows = text('docs/metrics.md')
  .split('\n')
  .filter((line) => line.startsWith('| ') && line.includes('`'))
  .map((line) => line.split(' | '))
  .map(([process = '', name = '', type = '', labels = '']) => `${process} | ${name} | ${type} | ${labels} |`)

describe('the page of the metrics', () => {
  it('has every metric of every process, with its type and labels, and no other', () => {
    expect(exposed.length).toBeGreaterThan(60)
    expect([...rows].sort()).toEqual(exposed.map(rowOf).sort())
  })

  it('gives each a meaning', () => {
    const bare = text('docs/metrics.md')
      .split('\n')
      .filter((line) => line.startsWith('| ') && line.includes('`') && (line.split(' | ')[4] ?? '').length < 10)
    expect(bare).toEqual([])
  })
})

describe('the metrics with names that others use too', () => {
  it('are all there, each with model, provider and quantization', () => {
    const names = [
      ...['model_inference_latency_seconds', 'model_memory_usage_bytes', 'inference_queue_size', 'ttft_seconds', 'tps'],
      ...[
        'request_latency_seconds',
        'batch_size',
        'kv_cache_bytes',
        'llm_requests_total',
        'llm_request_latency_seconds',
      ],
      ...['llm_tokens_generated_total', 'llm_active_requests', 'llm_gpu_memory_used_bytes'],
    ]
    for (const name of names) {
      const found = exposed.filter((each) => each.name === name)
      expect(found, name).toHaveLength(1)
      expect(found[0]?.labels, name).toEqual(expect.arrayContaining(['model', 'provider', 'quantization']))
    }
  })
})
