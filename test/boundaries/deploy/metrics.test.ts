import { describe, expect, it } from 'vitest'
import { readDashboards, readRules, text } from './files.ts'
import { readExposed } from './registries.ts'

/* Dashboards and alerts stand on metrics that the code has. When one fails, a metric was renamed: mend the query. */
const all = await readExposed()
const labels = new Set(['job', 'instance', 'le', ...all.flatMap((each) => each.labels)])
const exposed = new Set(['up'])
for (const { name, type } of all) {
  for (const end of type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']) exposed.add(name + end)
}
const rules = readRules()
const recorded = new Set(rules.flatMap(({ record }) => record ?? []))
const dashboards = readDashboards()
const queries = [
  ...rules.map(({ alert, expr, record }) => ({ where: alert ?? record ?? '', expr })),
  ...dashboards.flatMap(({ panels, title }) =>
    panels.flatMap((panel) => panel.targets.map(({ expr }) => ({ where: `${title}: ${panel.title}`, expr }))),
  ),
]

/** The names of metrics and of labels in a query of PromQL. */
function namesIn(expr: string): { metrics: string[]; labels: string[] } {
  const used: string[] = []
  const rest = expr
    .replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')
    .replaceAll(/\[[^\]]*\]/g, '')
    .replaceAll(/\{([^}]*)\}/g, (_, matchers: string) => {
      used.push(...[...matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, name = '']) => name))
      return ''
    })
    .replaceAll(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g, (_, list: string) => {
      used.push(...(list.match(/\w+/g) ?? []))
      return ''
    })
    .replaceAll(/\boffset\s+\w+/g, '')
  const words = [...rest.matchAll(/(?<![\w.])[a-zA-Z_][\w:]*(?!\s*\(|[\w:])/g)].map(([word]) => word)
  return { metrics: words.filter((word) => !/^(and|or|unless|bool)$/.test(word)), labels: used }
}

describe('dashboards and rules', () => {
  it('are seen: the code exposes metrics, and queries use most of them', () => {
    const used = new Set(queries.flatMap(({ expr }) => namesIn(expr).metrics))
    expect(exposed.size).toBeGreaterThan(40)
    expect(queries.length).toBeGreaterThan(60)
    expect(namesIn('sum by (le, x) (rate(a_bucket{y=~"b|c"}[5m])) > on () group_left () d:e offset 1h or up')).toEqual({
      metrics: ['a_bucket', 'd:e', 'up'],
      labels: ['y', 'le', 'x'],
    })
    const families = all.map(({ name }) => name)
    const unused = families.filter((name) => ![...used].some((each) => each.startsWith(name)))
    expect(unused.length, unused.join(', ')).toBeLessThan(families.length / 5)
  })

  it('ask only for metrics that the code exposes or a rule records', () => {
    const unknown = queries.flatMap(({ where, expr }) =>
      namesIn(expr)
        .metrics.filter((name) => !exposed.has(name) && !recorded.has(name))
        .map((name) => `${where}: ${name}`),
    )
    expect(unknown).toEqual([])
  })

  it('ask only for labels that some metric has', () => {
    const unknown = queries.flatMap(({ where, expr }) =>
      namesIn(expr)
        .labels.filter((name) => !labels.has(name))
        .map((name) => `${where}: ${name}`),
    )
    expect(unknown).toEqual([])
  })

  it('link every alert to a runbook that is there, and say how urgent it is', () => {
    const headings = [...text('docs/runbooks.md').matchAll(/^## (.+)$/gm)].map(([, name = '']) => name)
    const alerts = rules.filter(({ alert }) => alert !== undefined)
    for (const { alert = '', annotations, labels: set } of alerts) {
      expect(annotations?.['runbook']).toBe(`docs/runbooks.md#${alert.toLowerCase()}`)
      expect(headings).toContain(alert)
      expect(['page', 'ticket']).toContain(set?.['severity'])
    }
    expect(alerts.length).toBeGreaterThan(15)
  })

  it('lay each dashboard out without panels on top of each other, all on the provisioned source', () => {
    expect(dashboards.map(({ uid }) => uid).sort()).toEqual(
      ['batches', 'cost', 'live', 'overview', 'workers'].map((name) => `forebay-${name}`),
    )
    const source = /uid: (\w+)/.exec(text('deploy/grafana/provisioning/datasources/prometheus.yml'))?.[1]
    for (const { panels, path } of dashboards) {
      const taken = new Set<string>()
      for (const { datasource, gridPos, title } of panels) {
        expect(datasource.uid).toBe(source)
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
            expect(x < 24 && !taken.has(`${x},${y}`), `${path}: ${title}`).toBe(true)
            taken.add(`${x},${y}`)
          }
        }
      }
    }
  })
})
