import type { Rollout } from '@forebay/rollouts'
import type { Row } from '@forebay/store'
import { z } from 'zod'

const epoch = (ms: number) => Math.floor(ms / 1000)

/** A rollout as the API shows it. */
export const rolloutSchema = z
  .object({
    id: z.string(),
    object: z.literal('rollout'),
    model: z.string(),
    from: z.string().nullable().describe('Null: the pools that name no version of the model'),
    to: z.string(),
    state: z.enum(['running', 'promoted', 'rolled_back']),
    weight: z.number().int().describe('Per cent of the requests that go to the new version'),
    steps: z.array(z.number().int()).describe('The weights that it goes through by itself'),
    step_seconds: z.number().int(),
    min_sample: z.number().int(),
    error_margin: z.number(),
    latency_ratio: z.number(),
    quality_margin: z.number(),
    reason: z.string().describe('Of its latest move'),
    figures: z.unknown().describe('What was measured last, both versions beside each other; null before that'),
    created_at: z.number().int(),
    stepped_at: z.number().int(),
    ended_at: z.number().int().nullable(),
    moves: z
      .array(
        z.object({
          at: z.number().int(),
          by: z.enum(['admin', 'forebay']),
          state: z.string(),
          weight: z.number().int(),
          reason: z.string(),
        }),
      )
      .describe('Every move, the first first'),
    fit: z
      .array(z.object({ pool: z.string(), told: z.string() }))
      .optional()
      .describe('When it is made: what the version takes in each pool that runs it'),
  })
  .meta({ id: 'Rollout' })

/** A move as stored. */
export interface MoveRow extends Row {
  rolloutId: string
  atMs: number
  by: 'admin' | 'forebay'
  state: string
  weight: number
  reason: string
}

/** A rollout as the API shows it, with its moves. */
export function rolloutObject(rollout: Rollout, moves: readonly MoveRow[]): z.infer<typeof rolloutSchema> {
  const { rules } = rollout
  return {
    id: rollout.id,
    object: 'rollout',
    model: rollout.model,
    from: rollout.fromVersion,
    to: rollout.toVersion,
    state: rollout.state,
    weight: rollout.weight,
    steps: rollout.steps,
    step_seconds: rules.stepSeconds,
    min_sample: rules.minSample,
    error_margin: rules.errorMargin,
    latency_ratio: rules.latencyRatio,
    quality_margin: rules.qualityMargin,
    reason: rollout.reason,
    figures: rollout.figures ?? null,
    created_at: epoch(rollout.createdAtMs),
    stepped_at: epoch(rollout.steppedAtMs),
    ended_at: rollout.endedAtMs === null ? null : epoch(rollout.endedAtMs),
    moves: moves
      .filter(({ rolloutId }) => rolloutId === rollout.id)
      .map(({ atMs, by, reason, state, weight }) => ({ at: epoch(atMs), by, state, weight, reason })),
  }
}
