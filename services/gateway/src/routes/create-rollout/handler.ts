import { ForebayError, newId } from '@forebay/kernel'
import {
  type ModelVersions,
  type Rollout,
  readVersions,
  recordStart,
  rolloutColumns,
  rolloutRulesUsual,
  versionName,
  versionsOf,
} from '@forebay/rollouts'
import { z } from 'zod'
import { callerOf } from '../../auth/require-caller.ts'
import type { Route } from '../../gateway-deps.ts'
import { checkFit } from '../../rollouts/check-fit.ts'
import { rolloutObject, rolloutSchema } from '../../rollouts/rollout-object.ts'
import { movesOf } from '../../rollouts/rollout-rows.ts'

const percent = z.number().int().min(1).max(100)
const stepsUsual = [25, 50, 100]

const bodySchema = z.object({
  model: z.string().min(1),
  to: z.string().min(1).describe('A version that some pool names for the model (`versions` in forebay.config.yaml)'),
  weight: percent.default(10).describe('Per cent of the requests that it gets at first'),
  steps: z
    .array(percent)
    .max(20)
    .optional()
    .describe('The weights that follow, by themselves; 25, 50, 100 when not given; empty: none, an admin moves it'),
  step_seconds: z.number().int().min(1).max(2_592_000).default(rolloutRulesUsual.stepSeconds),
  min_sample: z.number().int().min(1).max(1_000_000).default(rolloutRulesUsual.minSample),
  error_margin: z
    .number()
    .min(0)
    .max(1)
    .default(rolloutRulesUsual.errorMargin)
    .describe('How much more of its requests may fail, as a share'),
  latency_ratio: z
    .number()
    .min(1)
    .max(100)
    .default(rolloutRulesUsual.latencyRatio)
    .describe('How many times as long an answer may take'),
  quality_margin: z
    .number()
    .min(0)
    .max(1)
    .default(rolloutRulesUsual.qualityMargin)
    .describe('How many more of its answers may fail their check, as a share'),
  variant: z.string().optional().describe('The variant of the file that its pools run; the first when not given'),
})

/** POST /admin/rollouts: gives a version of a model a share of its requests. */
export const createRollout: Route = (app, { clock, db, logger, models, pools }) => {
  app.route({
    method: 'POST',
    url: '/admin/rollouts',
    schema: {
      tags: ['Admin'],
      summary: 'Roll out a version of a model',
      body: bodySchema,
      response: { 200: rolloutSchema },
    },
    handler: async (request) => {
      const { model, to, variant, weight } = request.body
      await models.reload()
      const running = models.versionsInPools(model)
      const versions = versionsNow(running, (await readVersions(db)).get(model), { model, to })
      const names = running.filter(({ version }) => version === to).map(({ pool }) => pool)
      const fit = await checkFit({ pools, names, model, version: to, variant })
      const steps = stepsAfter(weight, request.body.steps)
      const from = versions.stable
      const reason = `Started: ${weight} % of the requests for ${model} go to version ${to}, the others to ${versionName(from)}.`
      const rollout = await db.tx(async (tx) => {
        const [row] = await tx.query<Rollout>(
          `INSERT INTO rollouts (id, tenant_id, model, from_version, to_version, weight, steps, rules, reason)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           ON CONFLICT (model) WHERE state = 'running' DO NOTHING RETURNING ${rolloutColumns}`,
          [
            ...[newId('rollout_', clock.now()), callerOf(request).tenantId, model, from, to, weight, steps],
            ...[JSON.stringify(rulesOf(request.body)), reason],
          ],
        )
        if (!row) {
          const text = `A rollout of '${model}' is running already. Promote it or roll it back first.`
          throw new ForebayError('conflict', text, { param: 'model' })
        }
        await recordStart(tx, row, clock.now())
        return row
      })
      await models.reload()
      logger.info({ rolloutId: rollout.id, model, to, weight }, 'rollout started')
      return { ...rolloutObject(rollout, await movesOf(db, [rollout.id])), fit }
    },
  })
}

function versionsNow(
  running: readonly { pool: string; version: string | null }[],
  latest: ModelVersions | undefined,
  { model, to }: { model: string; to: string },
): ModelVersions {
  if (running.length === 0) {
    throw new ForebayError('not_found', `No pool serves the model '${model}'.`, { param: 'model' })
  }
  const inPools = running.map(({ version }) => version)
  const versions = versionsOf(inPools, latest)
  if (!versions || !inPools.includes(to)) {
    const list = running
      .map(({ pool, version }) => (version === null ? `pool ${pool} names none` : `pool ${pool} runs ${version}`))
      .join(', ')
    const text = `No pool runs version '${to}' of '${model}': by \`versions\` in forebay.config.yaml ${list}.`
    throw new ForebayError('invalid_value', text, { param: 'to' })
  }
  if (versions.stable === to) {
    throw new ForebayError('invalid_value', `Version '${to}' answers for '${model}' already.`, { param: 'to' })
  }
  return versions
}

function stepsAfter(weight: number, given: readonly number[] | undefined): number[] {
  if (!given) return stepsUsual.filter((step) => step > weight)
  const grows = given.every((step, i) => step > (given[i - 1] ?? weight))
  if (grows) return [...given]
  const text = `Invalid 'steps': they must grow from the first weight, ${weight}, but are ${given.join(', ')}.`
  throw new ForebayError('invalid_value', text, { param: 'steps' })
}

function rulesOf(body: z.infer<typeof bodySchema>) {
  return {
    stepSeconds: body.step_seconds,
    minSample: body.min_sample,
    errorMargin: body.error_margin,
    latencyRatio: body.latency_ratio,
    qualityMargin: body.quality_margin,
  }
}
