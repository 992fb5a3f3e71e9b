import { z } from 'zod'

/** Priority classes of a pool's queues: a client is waiting, an asynchronous single request, a line of a batch. */
export const lanes = ['realtime', 'standard', 'batch'] as const
export const laneSchema = z.enum(lanes)
export type Lane = z.infer<typeof laneSchema>

/** The name of a pool's queue for a lane, or of its results queue. */
export function queueName(pool: string, queue: Lane | 'results'): string {
  return `${pool}.${queue}`
}
