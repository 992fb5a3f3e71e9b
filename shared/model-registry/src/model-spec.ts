import { z } from 'zod'

const text = z.string().min(1, 'must not be empty')
const word = z.string().regex(/^[\w.:/@+-]+$/, 'must be of letters, digits and . : / @ + - _')
const parallel = z.number().int('must be a whole number').min(1, 'must be at least 1')

const adapterSchema = z
  .strictObject({
    name: word.describe('The model that clients ask for'),
    source: word.describe('A path or repository'),
  })
  .describe('A LoRA adapter')

const variantSchema = z
  .strictObject({
    name: word,
    quantization: word
      .optional()
      .describe('As vLLM names it: fp8, awq, gptq_marlin; that of the weights when not given'),
    tensorParallel: parallel.default(1),
    pipelineParallel: parallel.default(1),
    contextTokens: parallel.optional().describe('Longest prompt and output together; the model’s own when not given'),
    kvCacheType: word.optional().describe('Such as fp8; that of the weights when not given'),
    memoryShare: z
      .number()
      .gt(0, 'must be more than 0')
      .max(1, 'must be at most 1')
      .optional()
      .describe('How much of each GPU’s memory vLLM takes; 0.9 when not given'),
    sleep: z.boolean().default(false).describe('May be put to sleep and woken'),
    adapters: z.array(adapterSchema).default([]),
  })
  .describe('A way to run the model')

const versionSchema = z.strictObject({
  version: word,
  source: word.optional().describe('Where this version is; the model’s own source when not given'),
  revision: word.optional().describe('A commit, branch or tag of it'),
})

const modelSchema = z
  .strictObject({
    name: word.describe('The model that clients ask for'),
    source: word.describe('A path, or a repository such as meta-llama/Llama-3.1-8B-Instruct'),
    shape: text.optional().describe('Its name in the catalogue of `forebay plan`, where its source does not tell'),
    versions: z.array(versionSchema).default([]).describe('The last is the one that runs when none is asked for'),
    variants: z.array(variantSchema).min(1, 'must name a variant').describe('The first is the usual one'),
  })
  .refine(({ versions }) => unique(versions.map(({ version }) => version)), {
    path: ['versions'],
    error: 'names a version twice',
  })
  .refine(({ variants }) => unique(variants.map(({ name }) => name)), {
    path: ['variants'],
    error: 'names a variant twice',
  })
  .describe('A model, its versions and the ways to run it')

/** The models of the configuration file. */
export const modelsSchema = z
  .array(modelSchema)
  .refine((models) => unique(models.map(({ name }) => name)), 'names a model twice')

/** One model of the configuration file. */
export type ModelSpec = z.infer<typeof modelSchema>

function unique(names: readonly string[]): boolean {
  return new Set(names).size === names.length
}
