import { ForebayError } from '@forebay/kernel'
import { moveRollout, type Rollout, rolloutColumns, versionName } from '@forebay/rollouts'
import { z } from 'zod'
import type { GatewayDeps, Route } from '../../gateway-deps.ts'
import { rolloutObject, rolloutSchema } from '../../rollouts/rollout-object.ts'
import { latestRollouts, movesOf } from '../../rollouts/rollout-rows.ts'

/** POST /admin/rollouts/{id}/promote: every new request goes to the new version; what runs elsewhere ends there. */
export const promoteRollout: Route = (app, deps) => addRoute(app, deps, 'promote')

/** POST /admin/rollouts/{id}/rollback: every new request goes to the old version again, also after a promotion. */
export const rollBackRollout: Route = (app, deps) => addRoute(app, deps, 'rollback')

function addRoute(app: Parameters<Route>[0], deps: GatewayDeps, verb: 'promote' | 'rollback'): void {
  const { clock, db, logger, models } = deps
  app.route({
    method: 'POST',
    url: `/admin/rollouts/:id/${verb}`,
    schema: {
      tags: ['Admin'],
      summary:
        verb === 'promote' ? 'Give a rollout’s version every request' : 'Give the old version every request again',
      params: z.object({ id: z.string() }),
      response: { 200: rolloutSchema },
    },
    handler: async (request) => {
      const { id } = request.params as { id: string }
      const rollout = await db.tx(async (tx) => {
        const [seen] = await tx.query<Rollout>(`SELECT ${rolloutColumns} FROM rollouts WHERE id = $1 FOR UPDATE`, [id])
        if (!seen) {
          const text = `No rollout is called '${id}'. GET /admin/rollouts lists them.`
          throw new ForebayError('not_found', text, { param: 'id' })
        }
        const wished = verb === 'promote' ? 'promoted' : 'rolled_back'
        if (seen.state === wished) return seen
        const [latest] = await latestRollouts(tx, { model: seen.model, limit: 1 })
        if (latest?.id !== seen.id || (verb === 'promote' && seen.state !== 'running')) {
          const text = `The rollout '${id}' is ${seen.state === 'running' ? 'running' : 'over'} and cannot be moved so: start another.`
          throw new ForebayError('conflict', text, { param: 'id' })
        }
        const name = versionName(verb === 'promote' ? seen.toVersion : seen.fromVersion)
        const weight = verb === 'promote' ? 100 : 0
        const reason = `${verb === 'promote' ? 'Promoted' : 'Rolled back'} by an admin at ${seen.weight} %: ${name} answers for ${seen.model}.`
        const move = { state: wished, weight, reason, by: 'admin' } as const
        const moved = await moveRollout(tx, { seen, move, nowMs: clock.now() })
        if (!moved) throw new Error('a locked rollout was moved by another')
        return moved
      })
      await models.reload()
      logger.info({ rolloutId: id, verb }, 'rollout moved by an admin')
      return rolloutObject(rollout, await movesOf(db, [id]))
    },
  })
}
