import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'

it('prints what is wrong with the settings, and not where in the code it was found', () => {
  const program = 'const { configOrExit } = await import(process.argv[1]); configOrExit({ PORT: "eighty" })'
  const file = new URL('./config-or-exit.ts', import.meta.url).href
  const args = ['--import', 'tsx', '--input-type=module', '--eval', program, file]
  const { status, stderr, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  expect(status).toBe(1)
  expect(stdout).toBe('')
  expect(stderr).toContain('PORT ')
  expect(stderr.trimEnd().split('\n')).toHaveLength(2)
})
