import type { Queryable, Row } from '@forebay/store'
import { z } from 'zod'
import type { ModelVersions } from './model-versions.ts'

const count = (most: number) => z.number().int().min(1).max(most)

/** When a rollout goes on by itself, and when back. */
export const rolloutRulesSchema = z.object({
  /** The least time at each weight. */
  stepSeconds: count(30 * 86_400),
  /** Requests of the new version that must have ended at a weight before the next. */
  minSample: count(1_000_000),
  /** How much more of its requests may fail, as a share: 0.01 is one in a hundred. */
  errorMargin: z.number().min(0).max(1),
  /** How many times as long an answer may take. */
  latencyRatio: z.number().min(1).max(100),
  /** How many more of its answers may fail their check, as a share. */
  qualityMargin: z.number().min(0).max(1),
})
export type RolloutRules = z.infer<typeof rolloutRulesSchema>

/** The rules of a rollout that names none. */
export const rolloutRulesUsual: RolloutRules = {
  ...{ stepSeconds: 300, minSample: 100, errorMargin: 0.01, latencyRatio: 1.25, qualityMargin: 0.02 },
}

/** A rollout as stored. Times in epoch milliseconds, by the database. */
export interface Rollout extends Row {
  id: string
  tenantId: string
  model: string
  fromVersion: string | null
  toVersion: string
  state: 'running' | 'promoted' | 'rolled_back'
  /** Per cent of the requests that go to `toVersion`. */
  weight: number
  /** The weights that it goes through by itself, growing. */
  steps: number[]
  rules: RolloutRules
  figures: unknown
  reason: string
  createdAtMs: number
  steppedAtMs: number
  endedAtMs: number | null
}

const ms = (column: string, as: string) => `(extract(epoch FROM ${column}) * 1000)::float8 AS "${as}"`

/** The columns of a Rollout. */
export const rolloutColumns = `id, tenant_id AS "tenantId", model, from_version AS "fromVersion", to_version AS "toVersion", state,
  weight, steps, rules, figures, reason, ${ms('created_at', 'createdAtMs')}, ${ms('stepped_at', 'steppedAtMs')},
  ${ms('ended_at', 'endedAtMs')}`

/** How each model stands by its latest rollout; models that never had one are not in it. */
export async function readVersions(db: Queryable): Promise<Map<string, ModelVersions>> {
  const rows = await db.query<Rollout>(
    `SELECT DISTINCT ON (model) ${rolloutColumns} FROM rollouts ORDER BY model, created_at DESC, id DESC`,
  )
  return new Map(rows.map((rollout) => [rollout.model, versionsAfter(rollout)]))
}

function versionsAfter({ fromVersion, id, state, toVersion, weight }: Rollout): ModelVersions {
  if (state === 'promoted') return { stable: toVersion, canary: undefined }
  if (state === 'rolled_back') return { stable: fromVersion, canary: undefined }
  return { stable: fromVersion, canary: { version: toVersion, weight, rolloutId: id } }
}

/** A version in words. */
export function versionName(version: string | null): string {
  return version === null ? 'the unnamed version' : `version ${version}`
}
