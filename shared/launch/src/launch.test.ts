import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { tempDir } from '@forebay/test-support'
import { describe, expect, it } from 'vitest'
import { commandOf } from './index.ts'

/** A repository of its own with a script that prints what `of.ts` says. */
function repository(files: Record<string, string> = {}) {
  const root = tempDir()
  mkdirSync(join(root, 'tool/src'), { recursive: true })
  symlinkSync(fileURLToPath(new URL('../../../node_modules', import.meta.url)), join(root, 'node_modules'))
  const write = (name: string, text: string) => writeFileSync(join(root, 'tool/src', name), text)
  write('of.ts', `export const said: string = 'one'\n`)
  write('main.ts', `import { said } from './of.ts'\nconsole.log(said, process.argv.slice(2).join())\n`)
  for (const [name, text] of Object.entries(files)) write(name, text)
  const run = async (...args: string[]) => {
    const { args: words, command } = commandOf(join(root, 'tool/src/main.ts'), args)
    const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'] })
    const said = { stdout: '', stderr: '' }
    child.stdout.on('data', (text) => {
      said.stdout += text
    })
    child.stderr.on('data', (text) => {
      said.stderr += text
    })
    const [code] = await once(child, 'close')
    return { code, ...said }
  }
  const home = join(root, 'dist/tool.src.main')
  const bundles = () => readdirSync(home).filter((name) => /^[0-9a-f]{16}$/.test(name))
  return { root, run, write, home, bundles }
}

describe('a launched script', () => {
  it('runs with its arguments, from a bundle that is made once', async () => {
    const { bundles, home, run } = repository()
    expect(await run('a', 'b')).toEqual({ code: 0, stdout: 'one a,b\n', stderr: '' })
    const [bundle = ''] = bundles()
    // What is not written again keeps its mark.
    utimesSync(join(home, bundle, 'main.mjs'), 1, 1)
    writeFileSync(join(home, bundle, 'mark'), '')
    expect(await run()).toMatchObject({ code: 0, stdout: 'one \n' })
    expect([bundles(), existsSync(join(home, bundle, 'mark'))]).toEqual([[bundle], true])
  })

  it('is what its sources say now, also when a change leaves their size and time', async () => {
    const { root, run, write } = repository()
    expect((await run()).stdout).toBe('one \n')
    write('of.ts', `export const said: string = 'two'\n`)
    utimesSync(join(root, 'tool/src/of.ts'), 1, 1)
    expect((await run()).stdout).toBe('two \n')
  })

  it('is of the files that its packages name now', async () => {
    const thing = '@forebay/thing'
    const { root, run } = repository({
      'main.ts': `import { said } from ${JSON.stringify(thing)}\nconsole.log(said)\n`,
    })
    rmSync(join(root, 'node_modules'))
    mkdirSync(join(root, 'node_modules/@forebay'), { recursive: true })
    mkdirSync(join(root, 'thing'))
    symlinkSync(join(root, 'thing'), join(root, 'node_modules', thing))
    for (const name of ['one', 'two'])
      writeFileSync(join(root, 'thing', `${name}.ts`), `export const said = '${name}'\n`)
    const name = (file: string) =>
      writeFileSync(
        join(root, 'thing/package.json'),
        JSON.stringify({ name: thing, type: 'module', exports: `./${file}` }),
      )
    name('one.ts')
    expect((await run()).stdout).toBe('one\n')
    name('two.ts')
    expect((await run()).stdout).toBe('two\n')
  })

  it('is made by many at once without one seeing half of it', async () => {
    const { bundles, home, run } = repository()
    const ended = await Promise.all(Array.from({ length: 4 }, (_, i) => run(String(i))))
    expect(ended.map(({ stdout }) => stdout)).toEqual(['one 0\n', 'one 1\n', 'one 2\n', 'one 3\n'])
    expect([bundles().length, readdirSync(home).length]).toEqual([1, 2])
  })

  it('finds what lies beside its source, loads lazily what is imported lazily, and names lines of the source', async () => {
    const { run } = repository({
      'main.ts': `import { readFileSync } from 'node:fs'
const { late } = await import('./late.ts')
console.log(readFileSync(new URL('./beside.txt', import.meta.url), 'utf8'), late)
throw new Error('told')\n`,
      'late.ts': `export const late = 'late'\n`,
      'beside.txt': 'beside',
    })
    const { code, stderr, stdout } = await run()
    expect([code, stdout]).toEqual([1, 'beside late\n'])
    expect(stderr).toMatch(/tool\/src\/main\.ts:4/)
  })

  it('keeps the last few bundles, for a process that still runs from one', async () => {
    const { bundles, run, write } = repository()
    for (let i = 0; i < 7; i++) {
      write('of.ts', `export const said: string = 'n${i}'\n`)
      expect((await run()).stdout).toBe(`n${i} \n`)
    }
    expect(bundles()).toHaveLength(5)
  })
})

describe('what cannot be launched is told, and the process ends with 1', () => {
  it('a source that does not compile', async () => {
    const { run } = repository({ 'of.ts': 'export const said = = 1\n' })
    expect(await run()).toMatchObject({ code: 1, stderr: expect.stringMatching(/tool\/src\/of\.ts:1/) })
  })

  it('a script that is not there', async () => {
    const { args, command } = commandOf('services/nothing/src/main.ts')
    const child = spawn(command, args, { stdio: 'ignore' })
    expect((await once(child, 'exit'))[0]).toBe(1)
  })

  it('a bundle that cannot be written', async () => {
    const { root, run } = repository()
    writeFileSync(join(root, 'dist'), 'no folder')
    expect(await run()).toMatchObject({ code: 1, stderr: expect.stringMatching(/npm run build/) })
  })
})
