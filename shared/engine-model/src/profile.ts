/** What one engine step costs, in milliseconds. A step runs every scheduled sequence once. */
export interface StepCost {
  /** Reading the weights and launching the kernels: paid by every step that does anything. */
  readonly baseMs: number
  /** Per scheduled sequence: sampling, detokenising, bookkeeping. */
  readonly perSeqMs: number
  /** Per prompt token computed in the step (compute bound). */
  readonly perPrefillTokenMs: number
  /** Per token of context that the scheduled sequences attend to (memory bound). */
  readonly perKvTokenMs: number
}

/** The limits of an engine, named as vLLM's flags are. */
export interface EngineLimits {
  readonly maxNumSeqs: number
  readonly maxNumBatchedTokens: number
  readonly numGpuBlocks: number
  readonly blockSize: number
  readonly maxModelLen: number
}

/** A profile whose time comes from the step model. */
export interface StepProfile {
  readonly kind: 'steps'
  readonly name: string
  readonly cost: StepCost
  readonly limits: EngineLimits
}

/** A profile that answers each request `answerMs` after it gets a seat, with no step model; 0 answers at once. */
export interface FixedProfile {
  readonly kind: 'fixed'
  readonly name: string
  readonly answerMs: number
  readonly limits: EngineLimits
}

export type Profile = StepProfile | FixedProfile

/**
 * Llama-3.1-8B in bf16 on one H100, fitted to llm-d's closed-loop measurements (about 256 output tokens; the prompt
 * length is not published and taken as 256): in flight 8, 32, 64, 128, 192, 256 gave 4.2, 14.7, 24.1, 35.8, 40.4,
 * 44.3 requests/s. The plain physical form fits within a few per cent, so nothing here is piecewise: 16 GB of weights
 * at 3.35 TB/s and launch overhead in `baseMs`, 128 KiB of KV per token in `perKvTokenMs`, 40k prompt tokens/s in
 * `perPrefillTokenMs`. The block count is what 0.92 of 80 GB leaves; it puts 512 in flight near the measured KV use.
 */
const h100Llama8b: StepProfile = {
  kind: 'steps',
  name: 'h100-llama-3.1-8b',
  cost: { baseMs: 6.9, perSeqMs: 0.018, perPrefillTokenMs: 0.025, perKvTokenMs: 0.00004 },
  limits: { maxNumSeqs: 1024, maxNumBatchedTokens: 8192, numGpuBlocks: 26_000, blockSize: 16, maxModelLen: 131_072 },
}

/** Small and quick, for a demo on a laptop: a few thousand tokens/s at most, full at 32 sequences. Not a measurement. */
const laptop: StepProfile = {
  kind: 'steps',
  name: 'laptop',
  cost: { baseMs: 4, perSeqMs: 0.15, perPrefillTokenMs: 0.01, perKvTokenMs: 0.00005 },
  limits: { maxNumSeqs: 32, maxNumBatchedTokens: 2048, numGpuBlocks: 4096, blockSize: 16, maxModelLen: 16_384 },
}

const fixedLimits: EngineLimits = { ...h100Llama8b.limits, maxNumSeqs: 100_000, maxModelLen: 131_072 }

/** The profiles by name. `instant` and `fixed` have no step model; `fixed` takes its latency from `fixedMs`. */
export const profiles = {
  'h100-llama-3.1-8b': h100Llama8b,
  laptop,
  instant: { kind: 'fixed', name: 'instant', answerMs: 0, limits: fixedLimits },
  fixed: { kind: 'fixed', name: 'fixed', answerMs: 40, limits: fixedLimits },
} as const satisfies Record<string, Profile>

export type ProfileName = keyof typeof profiles
