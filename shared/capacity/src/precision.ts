import { ForebayError } from '@forebay/kernel'

/** How many bits a model's weights have. */
export type Precision = 'fp32' | 'fp16' | 'int8' | 'int4'

/** Bytes of one parameter. */
export const bytesPerParam: Readonly<Record<Precision, number>> = { fp32: 4, fp16: 2, int8: 1, int4: 0.5 }

const names: Readonly<Record<string, Precision>> = {
  ...{ fp32: 'fp32', fp16: 'fp16', bf16: 'fp16', none: 'fp16', int8: 'int8', fp8: 'int8', '8-bit': 'int8' },
  ...{ int4: 'int4', '4-bit': 'int4', awq: 'int4', gptq: 'int4' },
}

/** The precision of a quantization's name, such as `none`, `fp8` or `awq`. Throws `invalid_value` for another. */
export function parsePrecision(name: string): Precision {
  const found = names[name.toLowerCase()]
  if (found) return found
  const message = `There is no quantization '${name}'. Known: ${Object.keys(names).join(', ')}.`
  throw new ForebayError('invalid_value', message, { param: 'quantization' })
}
