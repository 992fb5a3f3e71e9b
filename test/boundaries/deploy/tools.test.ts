import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { filesOf, root } from './files.ts'

/* The vendors' own checks, where their tools are: apt-get install prometheus prometheus-alertmanager haproxy yamllint. */
const tools: { tool: string; guarantee: string; args: string[] }[] = [
  {
    tool: 'promtool',
    guarantee: 'Prometheus takes its settings and rules',
    args: ['check', 'config', 'deploy/prometheus/prometheus.yml'],
  },
  {
    tool: 'promtool',
    guarantee: 'alerts fire when they should',
    args: ['test', 'rules', 'deploy/prometheus/rules.test.yml'],
  },
  {
    tool: 'amtool',
    guarantee: 'Alertmanager takes its settings',
    args: ['check-config', 'deploy/alertmanager/alertmanager.yml'],
  },
  { tool: 'haproxy', guarantee: 'HAProxy takes its settings', args: ['-c', '-f', 'deploy/haproxy/haproxy.cfg'] },
  {
    tool: 'yamllint',
    guarantee: 'YAML is well-formed, with no key twice',
    args: [
      '-d',
      '{extends: default, rules: {line-length: {max: 140}, document-start: disable, braces: {max-spaces-inside: 1}, quoted-strings: disable}}',
      'docker-compose.yml',
      ...filesOf('deploy/prometheus').filter((path) => path.endsWith('.yml')),
      ...filesOf('deploy/prometheus/rules'),
      ...filesOf('deploy/alertmanager'),
      ...filesOf('deploy/grafana/provisioning/datasources'),
      ...filesOf('deploy/grafana/provisioning/dashboards'),
    ],
  },
]

describe('the tools of those that read our files', () => {
  for (const { args, guarantee, tool } of tools) {
    const absent = spawnSync(tool, ['--version']).error !== undefined
    it.skipIf(absent)(`${tool}: ${guarantee}`, () => {
      const { status, stderr, stdout } = spawnSync(tool, args, { cwd: root, encoding: 'utf8' })
      expect(status, stdout + stderr).toBe(0)
    })
  }
})
