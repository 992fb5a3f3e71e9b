import { z } from 'zod'

/** One setting: the environment variable it is read from, what it must be, and what it is for. */
export interface Setting<S extends z.ZodType = z.ZodType> {
  env: string
  schema: S
  about: string
  secret?: true
}

export const setting = <S extends z.ZodType>(env: string, schema: S, about: string, secret?: true): Setting<S> => ({
  env,
  schema,
  about,
  ...(secret ? { secret } : {}),
})

export const text = z.string().min(1, 'must not be empty')
export const url = (schemes: readonly string[]) =>
  text.refine((value) => schemes.some((scheme) => value.startsWith(`${scheme}:`)) && URL.canParse(value), {
    error: `must be a URL that starts with ${schemes.map((s) => `${s}://`).join(' or ')}`,
  })
export const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`))
export const onOff = (normal: 'on' | 'off') =>
  z
    .enum(['on', 'off'])
    .default(normal)
    .transform((value) => value === 'on')
export const share = z
  .string()
  .regex(/^(0(\.\d+)?|1(\.0+)?)$/, 'must be a number from 0 to 1')
  .transform(Number)
export const list = text.transform((value) =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean),
)

/** Settings by their name in the code. */
export type Settings = Record<string, Setting>
